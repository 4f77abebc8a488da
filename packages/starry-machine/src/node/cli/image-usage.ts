/** How the image commands that are loaded on demand are called. */
export const CHECK_USAGE = "check IMAGE [--repair] [--ignore-journal]";
export const RESIZE_USAGE = "resize IMAGE [SIZE]";
export const TUNE_USAGE =
  "tune IMAGE [-L LABEL] [-U UUID|random] [-O [^]FEATURE,...] [-m PERCENT] [-r BLOCKS] [-c MOUNTS] [-C COUNT] [-i SECONDS] [-e BEHAVIOUR] [-o [^]OPTION,...]";
