/**
 * The event filter language, compiled to a branch program.
 *
 *   filter := term (('&&' | '||') term)*          && binds tighter
 *   term   := '!' term | '(' filter ')' | predicate
 *   predicate := FIELD op value                   op: == != < <= > >= ~ &
 *              | FIELD '&' number (== != < <= > >=) number     extension: tp-lexer's mask form
 *              | FIELD op CPUS{list}              op: == != &
 *   value  := number (decimal, 0x, 0 octal, -) | "text" | 'text' | bare word (extension, for text fields)
 *
 * Each predicate is one step with two targets (Linux kernel/trace/trace_events_filter.c, predicate_parse), so evaluation is a
 * loop without recursion and stops as early as && and || allow. Parsing keeps explicit stacks: depth is bounded by the text only.
 * Field typing is checked when the filter is set; messages and positions are Linux's.
 */
import { readInt32, readString } from "./entry.ts";
import { globMatch } from "./filter-glob.ts";
import {
  FIELD_ARRAY,
  FIELD_DYNAMIC_ARRAY,
  FIELD_NUMBER,
  FIELD_STRING,
  type FieldLayout,
  type RecordLayout,
} from "./layout.ts";
import type { KernelTraceOps } from "./ops.ts";
import { encodeUtf8 } from "./utf8.ts";

export const FILT_ERR_INVALID_OP = "Invalid operator";
export const FILT_ERR_TOO_MANY_OPEN = "Too many '('";
export const FILT_ERR_TOO_MANY_CLOSE = "Too few '('";
export const FILT_ERR_MISSING_QUOTE = "Missing matching quote";
export const FILT_ERR_MISSING_BRACE_OPEN = "Missing '{'";
export const FILT_ERR_MISSING_BRACE_CLOSE = "Missing '}'";
export const FILT_ERR_OPERAND_TOO_LONG = "Operand too long";
export const FILT_ERR_EXPECT_STRING = "Expecting string field";
export const FILT_ERR_EXPECT_DIGIT = "Expecting numeric field";
export const FILT_ERR_ILLEGAL_FIELD_OP = "Illegal operation for field type";
export const FILT_ERR_FIELD_NOT_FOUND = "Field not found";
export const FILT_ERR_ILLEGAL_INTVAL = "Illegal integer value";
export const FILT_ERR_BAD_SUBSYS_FILTER = "Couldn't find or set field in one of a subsystem's events";
export const FILT_ERR_TOO_MANY_PREDS = "Too many terms in predicate expression";
export const FILT_ERR_INVALID_FILTER = "Meaningless filter expression";
export const FILT_ERR_INVALID_CPULIST = "Invalid cpulist";
export const FILT_ERR_INVALID_VALUE = "Invalid value (did you forget quotes)?";
export const FILT_ERR_NO_FILTER = "No filter found";

const MAX_FILTER_STRING = 256; // MAX_FILTER_STR_VAL
const MAX_FILTER_LENGTH = 4096; // Linux refuses a write of PAGE_SIZE or more

/** A filter text that does not compile. `position` is the caret's, in characters from 0. */
export interface FilterError {
  readonly message: string;
  readonly position: number;
}

/** Tests one field of a record. */
type Predicate = (record: Uint8Array, byteLength: number, ops: KernelTraceOps) => boolean;

// Targets of a program step: ≥ 0 another step, else the result.
const RESULT_TRUE = -1;
const RESULT_FALSE = -2;

export class CompiledFilter {
  readonly #predicates: readonly Predicate[];
  readonly #whenTrue: Int32Array;
  readonly #whenFalse: Int32Array;

  constructor(predicates: readonly Predicate[], whenTrue: Int32Array, whenFalse: Int32Array) {
    this.#predicates = predicates;
    this.#whenTrue = whenTrue;
    this.#whenFalse = whenFalse;
  }

  /** Evaluates the filter on the record in `record[0, byteLength)`. */
  matches(record: Uint8Array, byteLength: number, ops: KernelTraceOps): boolean {
    let step = 0;
    do {
      step = this.#predicates[step]!(record, byteLength, ops) ? this.#whenTrue[step]! : this.#whenFalse[step]!;
    } while (step >= 0);
    return step === RESULT_TRUE;
  }
}

/** Compiles `text` for records of `schema`. Never throws. */
export function compileWithSchema(text: string, schema: RecordLayout): CompiledFilter | FilterError {
  const trimmed = text.replace(/[\s\0]+$/, "");
  if (trimmed.length >= MAX_FILTER_LENGTH) return { message: FILT_ERR_OPERAND_TOO_LONG, position: 0 };
  const unbalanced = checkBalance(trimmed);
  if (unbalanced !== undefined) return unbalanced;
  return new FilterParser(trimmed, schema).parse();
}

export function isFilterError(result: CompiledFilter | FilterError): result is FilterError {
  return !(result instanceof CompiledFilter);
}

/** What reading `filter` shows after a refused write: the text, a caret, the reason. */
export function filterErrorText(text: string, error: FilterError): string {
  const position = Math.min(error.position, text.length);
  return `${text}\n${" ".repeat(position)}^\nparse_error: ${error.message}\n`;
}

/** Parentheses and quotes of the whole text, before anything else (Linux calc_stack). */
function checkBalance(text: string): FilterError | undefined {
  const open: number[] = [];
  let quote = "";
  let quoteAt = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quote !== "") {
      if (c === quote) quote = "";
    } else if (c === '"' || c === "'") {
      quote = c;
      quoteAt = i;
    } else if (c === "(") open.push(i);
    else if (c === ")" && open.pop() === undefined) return { message: FILT_ERR_TOO_MANY_CLOSE, position: i };
  }
  if (quote !== "") return { message: FILT_ERR_MISSING_QUOTE, position: quoteAt };
  if (open.length > 0) return { message: FILT_ERR_TOO_MANY_OPEN, position: open[0]! };
  return undefined;
}

// Node kinds of the expression in postorder; a leaf's number is its predicate.
const NODE_LEAF = 0;
const NODE_AND = 1;
const NODE_OR = 2;
const NODE_NOT = 3;

const OPERATORS = ["~", "!=", "==", "<=", "<", ">=", ">", "&"] as const;
type Operator = (typeof OPERATORS)[number];

class FilterParser {
  readonly #text: string;
  readonly #schema: RecordLayout;
  #at = 0;
  readonly #predicates: Predicate[] = [];
  readonly #kinds: number[] = [];
  readonly #left: number[] = [];
  readonly #right: number[] = [];
  /** Lowest predicate number below each node: where its evaluation starts. */
  readonly #first: number[] = [];
  readonly #operands: number[] = [];
  readonly #pending: string[] = [];

  constructor(text: string, schema: RecordLayout) {
    this.#text = text;
    this.#schema = schema;
  }

  parse(): CompiledFilter | FilterError {
    for (;;) {
      this.#skipSpace();
      const c = this.#text[this.#at];
      if (c === undefined) {
        if (this.#predicates.length === 0) return this.#error(FILT_ERR_NO_FILTER, this.#at);
        return this.#error(FILT_ERR_INVALID_FILTER, this.#at); // an operator without its right side
      }
      if (c === "(" || (c === "!" && !/[=~]/.test(this.#text[this.#at + 1] ?? ""))) {
        this.#pending.push(c);
        this.#at++;
        continue;
      }
      const predicate = this.#predicate();
      if (typeof predicate !== "function") return predicate;
      this.#operands.push(this.#node(NODE_LEAF, this.#predicates.length, 0, this.#predicates.length));
      this.#predicates.push(predicate);
      const error = this.#afterOperand();
      if (error !== undefined) return error;
      if (this.#at >= this.#text.length && this.#pending.length === 0) return this.#link();
    }
  }

  /** Closing parentheses, then an operator or the end. */
  #afterOperand(): FilterError | undefined {
    for (;;) {
      this.#reduceNots();
      this.#skipSpace();
      const c = this.#text[this.#at];
      if (c === undefined) {
        this.#reduce("||");
        return undefined;
      }
      if (c === ")") {
        this.#reduce("||");
        if (this.#pending.pop() !== "(") return this.#error(FILT_ERR_TOO_MANY_CLOSE, this.#at);
        this.#at++;
        continue;
      }
      if ((c === "&" || c === "|") && this.#text[this.#at + 1] === c) {
        const operator = c + c;
        this.#reduce(operator);
        this.#pending.push(operator);
        this.#at += 2;
        if (this.#text.slice(this.#at).trim() === "") return this.#error(FILT_ERR_INVALID_FILTER, this.#text.length);
        return undefined;
      }
      return this.#error(FILT_ERR_TOO_MANY_PREDS, this.#at);
    }
  }

  #reduceNots(): void {
    while (this.#pending.at(-1) === "!") {
      this.#pending.pop();
      const operand = this.#operands.pop()!;
      this.#operands.push(this.#node(NODE_NOT, operand, 0, this.#first[operand]!));
    }
  }

  /** Applies pending operators that bind at least as tightly as `next`. */
  #reduce(next: string): void {
    for (;;) {
      const top = this.#pending.at(-1);
      if (top !== "&&" && !(top === "||" && next === "||")) return;
      this.#pending.pop();
      const right = this.#operands.pop()!;
      const left = this.#operands.pop()!;
      this.#operands.push(this.#node(top === "&&" ? NODE_AND : NODE_OR, left, right, this.#first[left]!));
    }
  }

  #node(kind: number, left: number, right: number, first: number): number {
    this.#kinds.push(kind);
    this.#left.push(left);
    this.#right.push(right);
    this.#first.push(first);
    return this.#kinds.length - 1;
  }

  /** Hands each node's targets down to its children; parents come after children in the list, so one backward pass does it. */
  #link(): CompiledFilter {
    const count = this.#kinds.length;
    const yes = new Int32Array(count).fill(RESULT_TRUE);
    const no = new Int32Array(count).fill(RESULT_FALSE);
    const whenTrue = new Int32Array(this.#predicates.length);
    const whenFalse = new Int32Array(this.#predicates.length);
    for (let i = count - 1; i >= 0; i--) {
      const left = this.#left[i]!;
      const right = this.#right[i]!;
      switch (this.#kinds[i]) {
        case NODE_LEAF:
          whenTrue[left] = yes[i]!;
          whenFalse[left] = no[i]!;
          break;
        case NODE_NOT:
          yes[left] = no[i]!;
          no[left] = yes[i]!;
          break;
        case NODE_AND:
          yes[left] = this.#first[right]!;
          no[left] = no[i]!;
          yes[right] = yes[i]!;
          no[right] = no[i]!;
          break;
        default:
          yes[left] = yes[i]!;
          no[left] = this.#first[right]!;
          yes[right] = yes[i]!;
          no[right] = no[i]!;
      }
    }
    return new CompiledFilter(this.#predicates, whenTrue, whenFalse);
  }

  #skipSpace(): void {
    while (/\s/.test(this.#text[this.#at] ?? "")) this.#at++;
  }

  #error(message: string, position: number): FilterError {
    return { message, position };
  }

  #predicate(): Predicate | FilterError {
    const text = this.#text;
    const start = this.#at;
    while (/\w/.test(text[this.#at] ?? "")) this.#at++;
    // Linux counts the position of what follows the name from one further on; ftracetest expects its carets there.
    const name = text.slice(start, this.#at);
    if (name === "") return this.#error(FILT_ERR_INVALID_FILTER, start);
    const operand = this.#operand(name);
    if (operand === undefined) return this.#error(FILT_ERR_FIELD_NOT_FOUND, this.#at + 1);
    if (text.startsWith(".ustring", this.#at) && operand.text !== undefined) this.#at += ".ustring".length;
    this.#skipSpace();
    const operator = OPERATORS.find((op) => text.startsWith(op, this.#at));
    if (operator === undefined) return this.#error(FILT_ERR_INVALID_OP, this.#at + 1);
    this.#at += operator.length;
    this.#skipSpace();
    const c = text[this.#at] ?? "";
    if (text.startsWith("CPUS", this.#at) && operand.number !== undefined) return this.#cpuPredicate(operand, operator);
    if (c === '"' || c === "'") return this.#textPredicate(operand, operator, c);
    if (/[-\d]/.test(c)) return this.#numberPredicate(operand, operator);
    if (operand.text !== undefined && /[^\s&|()]/.test(c)) return this.#textPredicate(operand, operator, "");
    return this.#error(FILT_ERR_INVALID_VALUE, this.#at + 1);
  }

  /** The field, or one of the pseudo-fields every event has. */
  #operand(name: string): Operand | undefined {
    const field = this.#schema.byName.get(name);
    if (field !== undefined) return fieldOperand(field);
    if (name === "comm" || name === "COMM") return { text: (_record, _length, ops) => ops.currentComm() };
    if (name === "cpu" || name === "CPU") return { number: (_record, ops) => ops.currentCpu(), signed: true };
    return undefined;
  }

  #textPredicate(operand: Operand, operator: Operator, quote: string): Predicate | FilterError {
    if (operator !== "==" && operator !== "!=" && operator !== "~")
      return this.#error(FILT_ERR_ILLEGAL_FIELD_OP, this.#at + 1);
    const read = operand.text;
    if (read === undefined) return this.#error(FILT_ERR_EXPECT_DIGIT, this.#at + 1);
    let end: number;
    let value: string;
    if (quote === "") {
      end = this.#at;
      while (/[^\s&|()]/.test(this.#text[end] ?? "")) end++;
      value = this.#text.slice(this.#at, end);
    } else {
      end = this.#text.indexOf(quote, this.#at + 1);
      if (end < 0) return this.#error(FILT_ERR_MISSING_QUOTE, this.#text.length);
      value = this.#text.slice(this.#at + 1, end++);
    }
    if (value.length >= MAX_FILTER_STRING) return this.#error(FILT_ERR_OPERAND_TOO_LONG, end);
    this.#at = end;
    if (operator === "~") return (record, length, ops) => globMatch(value, read(record, length, ops));
    if (operand.fixedText !== undefined) return fixedTextPredicate(operand.fixedText, value, operator === "==");
    if (operator === "==") return (record, length, ops) => read(record, length, ops) === value;
    return (record, length, ops) => read(record, length, ops) !== value;
  }

  #numberPredicate(operand: Operand, operator: Operator): Predicate | FilterError {
    const start = this.#at;
    const literal = this.#literal(operand.signed === true);
    const position = literal === undefined ? start : this.#at;
    if (operand.number === undefined)
      return this.#error(operand.text === undefined ? FILT_ERR_ILLEGAL_FIELD_OP : FILT_ERR_EXPECT_STRING, start + 1);
    if (operator === "~") return this.#error(FILT_ERR_ILLEGAL_FIELD_OP, start + 1);
    if (literal === undefined) return this.#error(FILT_ERR_ILLEGAL_INTVAL, position + 1);
    if (operator !== "&") return comparison(operand, operator, literal);
    const afterMask = this.#at;
    this.#skipSpace();
    const compare = OPERATORS.find((op) => op !== "~" && op !== "&" && this.#text.startsWith(op, this.#at));
    if (compare === undefined) {
      this.#at = afterMask;
      return maskPredicate(operand, literal);
    }
    this.#at += compare.length;
    this.#skipSpace();
    const valueAt = this.#at;
    const value = this.#literal(operand.signed === true);
    if (value === undefined) return this.#error(FILT_ERR_ILLEGAL_INTVAL, valueAt + 1);
    return comparison(maskedOperand(operand, literal), compare, value);
  }

  /** A 64-bit literal as Linux's kstrtoll / kstrtoull with base 0 take it. Consumes it; `undefined` if it is malformed or too big. */
  #literal(isSigned: boolean): bigint | undefined {
    const start = this.#at;
    if (this.#text[this.#at] === "-") this.#at++;
    while (/[0-9A-Za-z]/.test(this.#text[this.#at] ?? "")) this.#at++;
    const match = /^(-?)(?:(0[xX][0-9a-fA-F]+)|0([0-7]+)|(\d+))$/.exec(this.#text.slice(start, this.#at));
    if (match === null || (match[1] === "-" && !isSigned) || (match[4] !== undefined && /^0\d/.test(match[4])))
      return undefined;
    const magnitude = BigInt(match[2] ?? (match[3] !== undefined ? `0o${match[3]}` : match[4]!));
    const value = match[1] === "-" ? -magnitude : magnitude;
    const fits = isSigned ? BigInt.asIntN(64, value) === value : BigInt.asUintN(64, value) === value;
    return fits ? value : undefined;
  }

  #cpuPredicate(operand: Operand, operator: Operator): Predicate | FilterError {
    if (operator !== "==" && operator !== "!=" && operator !== "&")
      return this.#error(FILT_ERR_ILLEGAL_FIELD_OP, this.#at + 1);
    this.#at += 4;
    if (this.#text[this.#at] !== "{") return this.#error(FILT_ERR_MISSING_BRACE_OPEN, this.#at + 1);
    const end = this.#text.indexOf("}", this.#at);
    if (end < 0) return this.#error(FILT_ERR_MISSING_BRACE_CLOSE, this.#text.length);
    const cpus = parseCpuList(this.#text.slice(this.#at + 1, end));
    if (cpus === undefined) return this.#error(FILT_ERR_INVALID_CPULIST, this.#at + 1);
    this.#at = end + 1;
    const read = operand.number!;
    // A scalar against a mask: & and == ask for membership (== only for a mask of one), != for the opposite.
    if (operator === "&") return (record, _length, ops) => cpus.has(read(record, ops));
    const only = cpus.size === 1 ? [...cpus][0]! : -1;
    if (operator === "==") return (record, _length, ops) => read(record, ops) === only;
    return (record, _length, ops) => read(record, ops) !== only;
  }
}

/** "0-3,7" as a set of numbers; `undefined` if malformed. */
export function parseCpuList(text: string): Set<number> | undefined {
  const cpus = new Set<number>();
  for (const part of text.split(",")) {
    const match = /^\s*(\d{1,4})(?:-(\d{1,4}))?\s*$/.exec(part);
    if (match === null) return undefined;
    const last = Number(match[2] ?? match[1]);
    if (last < Number(match[1])) return undefined;
    for (let cpu = Number(match[1]); cpu <= last; cpu++) cpus.add(cpu);
  }
  return cpus;
}

/** How a predicate reads its left side: as text, as a number of at most 32 bits, or as 64 bits in two halves. */
interface Operand {
  readonly text?: (record: Uint8Array, byteLength: number, ops: KernelTraceOps) => string;
  readonly number?: (record: Uint8Array, ops: KernelTraceOps) => number;
  /** A `char x[n]` field: equality compares its bytes in place. */
  readonly fixedText?: FieldLayout;
  /** Offset of an 8-byte field; absent for the others. */
  readonly wide?: number;
  readonly mask?: bigint;
  readonly signed?: boolean;
}

function fieldOperand(field: FieldLayout): Operand {
  const { offset, size, signed } = field;
  if (field.kind === FIELD_NUMBER) {
    if (size === 8) return { number: (record) => readInt32(record, offset), wide: offset, signed };
    return { number: (record) => readSmall(record, offset, size, signed), signed };
  }
  if (field.kind === FIELD_ARRAY || field.kind === FIELD_DYNAMIC_ARRAY) return {};
  const text = (record: Uint8Array): string => readString(record, field) ?? "";
  return field.kind === FIELD_STRING ? { text, fixedText: field } : { text };
}

function readSmall(record: Uint8Array, offset: number, size: number, signed: boolean): number {
  if (size === 4) return signed ? readInt32(record, offset) : readInt32(record, offset) >>> 0;
  const value = size === 1 ? record[offset]! : record[offset]! | (record[offset + 1]! << 8);
  const shift = 32 - size * 8;
  return signed ? (value << shift) >> shift : value;
}

function fixedTextPredicate(field: FieldLayout, value: string, equal: boolean): Predicate {
  const wanted = encodeUtf8(`${value}\0`);
  const offset = field.offset;
  if (wanted.length > field.size) return () => !equal;
  return (record) => {
    for (let i = 0; i < wanted.length; i++) if (record[offset + i] !== wanted[i]) return !equal;
    return equal;
  };
}

/** Compares as the field's own type: 64 bits exactly, in halves. */
function comparison(operand: Operand, operator: Operator, value: bigint): Predicate {
  if (operand.wide === undefined) {
    const read = operand.number!;
    const wanted = Number(value); // beyond 2^53 the rounded value is still beyond every 32-bit field
    const mask = operand.mask === undefined ? undefined : Number(BigInt.asIntN(32, operand.mask));
    const left =
      mask === undefined
        ? read
        : (record: Uint8Array, ops: KernelTraceOps) =>
            operand.signed ? read(record, ops) & mask : (read(record, ops) & mask) >>> 0;
    switch (operator) {
      case "==":
        return (record, _length, ops) => left(record, ops) === wanted;
      case "!=":
        return (record, _length, ops) => left(record, ops) !== wanted;
      case "<":
        return (record, _length, ops) => left(record, ops) < wanted;
      case "<=":
        return (record, _length, ops) => left(record, ops) <= wanted;
      case ">":
        return (record, _length, ops) => left(record, ops) > wanted;
      default:
        return (record, _length, ops) => left(record, ops) >= wanted;
    }
  }
  const offset = operand.wide;
  const bias = operand.signed === true ? 0x8000_0000 : 0; // a signed high half compares as unsigned after flipping its sign
  const wantedLow = Number(BigInt.asUintN(32, value));
  const wantedHigh = (Number(BigInt.asUintN(32, value >> 32n)) ^ bias) >>> 0;
  const maskLow = operand.mask === undefined ? -1 : Number(BigInt.asIntN(32, operand.mask));
  const maskHigh = operand.mask === undefined ? -1 : Number(BigInt.asIntN(32, operand.mask >> 32n));
  const order = (record: Uint8Array): number => {
    const high = ((readInt32(record, offset + 4) & maskHigh) ^ bias) >>> 0;
    if (high !== wantedHigh) return high < wantedHigh ? -1 : 1;
    const low = (readInt32(record, offset) & maskLow) >>> 0;
    return low < wantedLow ? -1 : low > wantedLow ? 1 : 0;
  };
  switch (operator) {
    case "==":
      return (record) => order(record) === 0;
    case "!=":
      return (record) => order(record) !== 0;
    case "<":
      return (record) => order(record) < 0;
    case "<=":
      return (record) => order(record) <= 0;
    case ">":
      return (record) => order(record) > 0;
    default:
      return (record) => order(record) >= 0;
  }
}

function maskPredicate(operand: Operand, mask: bigint): Predicate {
  const low = Number(BigInt.asIntN(32, mask));
  const high = Number(BigInt.asIntN(32, mask >> 32n));
  const read = operand.number!;
  const offset = operand.wide;
  if (offset === undefined) return (record, _length, ops) => (read(record, ops) & low) !== 0;
  return (record) => (readInt32(record, offset) & low) !== 0 || (readInt32(record, offset + 4) & high) !== 0;
}

function maskedOperand(operand: Operand, mask: bigint): Operand {
  return { ...operand, mask };
}
