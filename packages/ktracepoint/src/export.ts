/**
 * File formats of a recorded trace, one row each.
 */
import { type ChromeTraceOptions, exportChromeTrace } from "./export-chrome.ts";
import { exportTraceDat, type TraceDatOptions } from "./export-dat.ts";
import type { TraceArray } from "./trace-array.ts";
import { encodeUtf8 } from "./utf8.ts";

export interface TraceExportOptions extends TraceDatOptions, ChromeTraceOptions {}

export interface TraceFormat {
  readonly name: string;
  /** File name endings, with the dot. */
  readonly extensions: readonly string[];
  /** The whole buffer as a file. Consumes nothing. */
  readonly export: (array: TraceArray, options: TraceExportOptions) => Uint8Array;
}

export const TRACE_FORMATS: readonly TraceFormat[] = [
  { name: "text", extensions: [".txt"], export: (array) => encodeUtf8(array.readText()) },
  { name: "dat", extensions: [".dat"], export: exportTraceDat },
  { name: "chrome", extensions: [".json"], export: (array, options) => encodeUtf8(exportChromeTrace(array, options)) },
];

/** The format that a file's name asks for, or undefined. */
export function traceFormatOf(fileName: string): TraceFormat | undefined {
  return TRACE_FORMATS.find((format) => format.extensions.some((extension) => fileName.endsWith(extension)));
}
