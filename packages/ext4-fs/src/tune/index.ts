/** Changing the parameters of file systems. */
export { tune, type TuneOptions } from "./tune.ts";
