/**
 * ktracepoint: Linux tracepoints as a library.
 *
 * Define events, hit them, filter them, and read them back as ftrace text, binary sub-buffers, trace.dat or Chrome JSON. See README.md.
 */
export {
  BUILTIN_EVENTS,
  MARKER_SYMBOL,
  printEvent,
  rawDataEvent,
  TRACE_PRINT,
  TRACE_RAW_DATA,
} from "./builtin-events.ts";
export { COMM_BYTES, TraceCmdLineCache, TraceCmdLineCacheSnapshot } from "./cmdline-cache.ts";
export {
  parseSwitch,
  TraceFilterFile,
  TracePointEnableFile,
  TracePointFormatFile,
  TracePointIdFile,
} from "./control-files.ts";
export {
  commonPid,
  commonType,
  EntryWriter,
  latencyText,
  MAX_RECORD_SIZE,
  readDynamic,
  readInteger,
  readString,
  TRACE_FLAG_BH_OFF,
  TRACE_FLAG_HARDIRQ,
  TRACE_FLAG_IRQS_OFF,
  TRACE_FLAG_NEED_RESCHED,
  TRACE_FLAG_NMI,
  TRACE_FLAG_PREEMPT_RESCHED,
  TRACE_FLAG_SOFTIRQ,
  TraceEntry,
} from "./entry.ts";
export { ErrorLog } from "./error-log.ts";
export { TRACE_FORMATS, type TraceExportOptions, type TraceFormat, traceFormatOf } from "./export.ts";
export { EventSelection } from "./event-select.ts";
export { type ChromeTraceOptions, exportChromeTrace } from "./export-chrome.ts";
export { clockText, exportTraceDat, type TraceDatOptions } from "./export-dat.ts";
export {
  ExtTracePoint,
  RawTraceEventFunc,
  type TraceCallbackType,
  TraceDefaultFunc,
  TraceEventFunc,
} from "./ext-tracepoint.ts";
export {
  CompiledFilter,
  compileWithSchema,
  type FilterError,
  filterErrorText,
  isFilterError,
  parseCpuList,
} from "./filter.ts";
export { globMatch } from "./filter-glob.ts";
export {
  COMMON_HEADER_SIZE,
  cTypeOf,
  type FieldKind,
  type FieldLayout,
  type FieldSpec,
  layoutRecord,
  type RecordLayout,
} from "./layout.ts";
export type { KernelTraceOps } from "./ops.ts";
export { compilePrintFmt, INVALID_RECORD, type RecordFormatter } from "./print-fmt.ts";
export { globalInitEvents, TracePointMap, TracePointRegistry } from "./registry.ts";
export {
  DEFAULT_BYTE_BUDGET,
  HEADER_EVENT_TEXT,
  HEADER_PAGE_TEXT,
  RingBuffer,
  type RingBufferOptions,
  RingCursor,
  SUB_BUFFER_DATA_SIZE,
  SUB_BUFFER_SIZE,
} from "./ring-buffer.ts";
export { type CopyLength, commonTracePipeRead, type PeekPop, TextDrain } from "./text-drain.ts";
export { TRACE_OPTIONS, TraceArray, type TraceArrayOptions, type TraceHost } from "./trace-array.ts";
export {
  TracePipeRaw,
  type TracePipeOps,
  type TracePipeOptions,
  TracePipeRecord,
  TracePipeSnapshot,
} from "./trace-pipe.ts";
export {
  commOf,
  defaultFmtStr,
  type LineOptions,
  TraceEntryParser,
  type TraceHeader,
  timeText,
  traceHeaderText,
} from "./trace-text.ts";
export {
  type AnyTracePoint,
  defineEvent,
  type EventDefinition,
  type FieldValue,
  type FieldValues,
  FIRST_EVENT_ID,
  TracePoint,
} from "./tracepoint.ts";
export { decodeUtf8, encodeUtf8, encodeUtf8Into, truncateUtf8 } from "./utf8.ts";
