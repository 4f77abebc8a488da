/** Growing file systems. */
export { resize, type ResizeOptions } from "./grow.ts";
export { type GrowOptions, growVolume } from "./online.ts";
export type { ResizeReport } from "./plan.ts";
