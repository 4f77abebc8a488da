/** Growing file systems. */
export { resize, type ResizeOptions, type ResizeReport } from "./grow.ts";
