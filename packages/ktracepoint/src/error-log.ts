/**
 * `error_log`: the last eight commands that were refused, with a caret under the place.
 *
 * Source: Linux kernel/trace/trace.c tracing_err_log_show; Documentation/trace/ftrace.rst "error_log".
 */
import { timeText } from "./trace-text.ts";

const MAX_ERRORS = 8; // TRACING_LOG_ERRS_MAX
const COMMAND_PREFIX = "  Command: ";

export class ErrorLog {
  #entries: string[] = [];

  /** `location` is the file's subject, e.g. "event filter parse error"; `position` the caret's column in `command`. */
  add(timeNs: number, location: string, message: string, command: string, position: number): void {
    const caret = " ".repeat(COMMAND_PREFIX.length + position);
    this.#entries.push(
      `[${timeText(timeNs)}] ${location}: error: ${message}\n${COMMAND_PREFIX}${command}\n${caret}^\n`,
    );
    if (this.#entries.length > MAX_ERRORS) this.#entries.shift();
  }

  read(): string {
    return this.#entries.join("");
  }

  clear(): void {
    this.#entries = [];
  }
}
