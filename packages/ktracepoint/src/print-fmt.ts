/**
 * `print fmt` of an event, compiled to a function from record to text.
 *
 * An event says how it prints once, in the C that its `format` file shows (`"pid=%d", REC->pid`), and this file turns that very text into
 * the formatter. So the lines of `trace` and what libtraceevent prints for the same record cannot drift apart.
 *
 * The subset is what libtraceevent itself reads: a format string; integer expressions over REC->field and REC->array[i] with
 * C operators, ?: and casts; string literals; __get_str __get_dynamic_array(_len) __print_symbolic __print_flags __print_hex
 * __print_hex_str __print_array. Integers are 64-bit; a cast wraps to its own size.
 *
 * Source: libtraceevent's event-parse documentation; Linux include/trace/stages/stage3_trace_output.h.
 */
import { readDynamic, readInteger, readString } from "./entry.ts";
import {
  cTypeOf,
  FIELD_ARRAY,
  FIELD_DYNAMIC_ARRAY,
  FIELD_DYNAMIC_STRING,
  FIELD_NUMBER,
  type FieldLayout,
  type RecordLayout,
} from "./layout.ts";
import {
  argumentCount,
  type FormatPiece,
  formatValue,
  normalise,
  type PrintValue,
  parseFormat,
  wrap,
} from "./printf.ts";

/** Prints the body of a record (without the event's name). */
export type RecordFormatter = (record: Uint8Array) => string;

/** Shown in place of a body whose record is shorter than its event, or whose dynamic data lies outside it. */
export const INVALID_RECORD = "<invalid trace record>";

type Node = (record: Uint8Array) => PrintValue;

class InvalidRecord extends Error {}

/** Compiles `print` for records of `layout`. Throws TypeError for text outside the subset: the event's author is wrong. */
export function compilePrintFmt(print: string, layout: RecordLayout): RecordFormatter {
  const parser = new Parser(print, layout);
  const { format, args } = parser.parseCall();
  const pieces = parseFormat(format);
  const wanted = pieces.reduce((sum, piece) => sum + argumentCount(piece), 0);
  if (wanted !== args.length) throw new TypeError(`"print" expected ${wanted} arguments, got ${args.length}: ${print}`);
  const minimum = layout.fields.reduce((end, field) => Math.max(end, field.offset + field.size), 8);
  return (record) => {
    if (record.length < minimum) return INVALID_RECORD;
    try {
      return render(pieces, args, record);
    } catch (error) {
      if (error instanceof InvalidRecord) return INVALID_RECORD;
      throw error;
    }
  };
}

function render(pieces: readonly FormatPiece[], args: readonly Node[], record: Uint8Array): string {
  let text = "";
  let next = 0;
  for (const piece of pieces) {
    if ("literal" in piece) {
      text += piece.literal;
      continue;
    }
    const width = piece.width === -2 ? Number(args[next++]!(record)) : piece.width;
    const precision = piece.precision === -2 ? Number(args[next++]!(record)) : piece.precision;
    text += formatValue(piece.conversion, piece.flags, width, precision, piece.bits, args[next++]!(record));
  }
  return text;
}

interface Token {
  readonly kind: "name" | "number" | "string" | "op" | "end";
  readonly text: string;
}

const TOKEN =
  /\s*(?:([A-Za-z_]\w*)|(0[xX][0-9a-fA-F]+|\d+)[uUlL]*|"((?:[^"\\]|\\.)*)"|'(\\.|[^'\\])'|(->|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^~!<>?:,(){}[\]]))/y;

function tokenise(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    if (text.slice(at).trim() === "") break;
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) throw new TypeError(`"print" expected C, got ${JSON.stringify(text.slice(at, at + 20))}`);
    at = TOKEN.lastIndex;
    if (match[1] !== undefined) tokens.push({ kind: "name", text: match[1] });
    else if (match[2] !== undefined) tokens.push({ kind: "number", text: match[2] });
    else if (match[3] !== undefined) tokens.push({ kind: "string", text: unescapeC(match[3]) });
    else if (match[4] !== undefined) tokens.push({ kind: "number", text: String(unescapeC(match[4]).charCodeAt(0)) });
    else tokens.push({ kind: "op", text: match[5]! });
  }
  return tokens;
}

function unescapeC(text: string): string {
  return text.replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c === "t" ? "\t" : c === "0" ? "\0" : c));
}

// Binding powers of C's binary operators, loosest first; ?: is 1.
const PRECEDENCE: ReadonlyMap<string, number> = new Map([
  ["||", 2],
  ["&&", 3],
  ["|", 4],
  ["^", 5],
  ["&", 6],
  ["==", 7],
  ["!=", 7],
  ["<", 8],
  [">", 8],
  ["<=", 8],
  [">=", 8],
  ["<<", 9],
  [">>", 9],
  ["+", 10],
  ["-", 10],
  ["*", 11],
  ["/", 11],
  ["%", 11],
]);

class Parser {
  readonly #tokens: readonly Token[];
  readonly #layout: RecordLayout;
  readonly #print: string;
  #at = 0;

  constructor(print: string, layout: RecordLayout) {
    this.#print = print;
    this.#tokens = tokenise(print);
    this.#layout = layout;
  }

  parseCall(): { format: string; args: Node[] } {
    const format = this.#stringLiteral();
    const args: Node[] = [];
    while (this.#accept(",")) args.push(this.#expression(1));
    if (this.#peek().kind !== "end") this.#fail("end of text");
    return { format, args };
  }

  #peek(ahead = 0): Token {
    return this.#tokens[this.#at + ahead] ?? { kind: "end", text: "" };
  }

  #accept(text: string): boolean {
    const token = this.#peek();
    if (token.kind !== "op" || token.text !== text) return false;
    this.#at++;
    return true;
  }

  #expect(text: string): void {
    if (!this.#accept(text)) this.#fail(text);
  }

  #fail(wanted: string): never {
    throw new TypeError(`"print" expected ${wanted}, got ${JSON.stringify(this.#peek().text)} in ${this.#print}`);
  }

  #stringLiteral(): string {
    if (this.#peek().kind !== "string") this.#fail("a string");
    let text = "";
    while (this.#peek().kind === "string") text += this.#tokens[this.#at++]!.text;
    return text;
  }

  #expression(minimum: number): Node {
    let left = this.#unary();
    for (;;) {
      const token = this.#peek();
      if (token.kind !== "op") return left;
      if (token.text === "?" && minimum <= 1) {
        this.#at++;
        const whenTrue = this.#expression(1);
        this.#expect(":");
        const whenFalse = this.#expression(1);
        const condition = left;
        left = (record) => (truth(condition(record)) ? whenTrue(record) : whenFalse(record));
        continue;
      }
      const power = PRECEDENCE.get(token.text);
      if (power === undefined || power < minimum) return left;
      this.#at++;
      left = binary(token.text, left, this.#expression(power + 1));
    }
  }

  #unary(): Node {
    const token = this.#peek();
    if (token.kind === "op") {
      if (token.text === "(") {
        const cast = this.#cast();
        if (cast !== undefined) {
          const operand = this.#unary();
          return (record) => {
            const value = operand(record);
            return typeof value === "string" ? value : wrap(value, cast.size * 8, cast.signed);
          };
        }
        this.#at++;
        const inner = this.#expression(1);
        this.#expect(")");
        return inner;
      }
      this.#at++;
      const operand = this.#unary();
      if (token.text === "-") return (record) => arithmetic("-", 0, operand(record));
      if (token.text === "~") return (record) => arithmetic("^", -1, operand(record));
      if (token.text === "!") return (record) => (truth(operand(record)) ? 0 : 1);
      if (token.text === "+") return operand;
      this.#at--;
      this.#fail("an operand");
    }
    if (token.kind === "number") {
      this.#at++;
      const value = normalise(BigInt(/^0[0-7]+$/.test(token.text) ? `0o${token.text.slice(1)}` : token.text));
      return () => value;
    }
    if (token.kind === "string") {
      const text = this.#stringLiteral();
      return () => text;
    }
    if (token.kind !== "name") this.#fail("an operand");
    this.#at++;
    return token.text === "REC" ? this.#fieldAccess() : this.#call(token.text);
  }

  /** `(type)` ahead: consumes it. A name in parentheses that is no C type is an ordinary group. */
  #cast(): { size: number; signed: boolean } | undefined {
    let ahead = 1;
    let name = "";
    for (;;) {
      const token = this.#peek(ahead++);
      if (token.kind === "name" || token.text === "*") name += ` ${token.text}`;
      else if (token.kind === "op" && token.text === ")") break;
      else return undefined;
    }
    const type = name === "" || name.startsWith(" REC") ? undefined : cTypeOf(name);
    if (type !== undefined) this.#at += ahead;
    return type;
  }

  #field(name: string): FieldLayout {
    const field = this.#layout.byName.get(name);
    if (field === undefined) throw new TypeError(`"print" expected a field of the event, got ${JSON.stringify(name)}`);
    return field;
  }

  #fieldAccess(): Node {
    this.#expect("->");
    const field = this.#field(this.#name());
    if (field.kind === FIELD_NUMBER) return (record) => readInteger(record, field.offset, field.size, field.signed);
    if (this.#peek().text === "[") {
      this.#at++;
      const index = this.#expression(1);
      this.#expect("]");
      return (record) => {
        const i = Number(index(record));
        return i >= 0 && i < field.count
          ? readInteger(record, field.offset + i * field.elementSize, field.elementSize, field.signed)
          : 0;
      };
    }
    if (field.kind === FIELD_ARRAY || field.kind === FIELD_DYNAMIC_ARRAY) return () => field.offset;
    return stringNode(field);
  }

  #name(): string {
    const token = this.#peek();
    if (token.kind !== "name") this.#fail("a name");
    this.#at++;
    return token.text;
  }

  #call(name: string): Node {
    this.#expect("(");
    switch (name) {
      case "__get_str":
      case "__get_dynamic_array":
      case "__get_dynamic_array_len": {
        const field = this.#field(this.#name());
        this.#expect(")");
        if (name === "__get_dynamic_array_len") return (record) => bytesOf(record, field).length;
        if (field.kind === FIELD_DYNAMIC_ARRAY) return (record) => hex(bytesOf(record, field), " ");
        return stringNode(field);
      }
      case "__print_symbolic": {
        const value = this.#expression(1);
        const pairs = this.#pairs();
        return (record) => printSymbolic(value(record), pairs);
      }
      case "__print_flags": {
        const value = this.#expression(1);
        this.#expect(",");
        const delimiter = this.#stringLiteral();
        const pairs = this.#pairs();
        return (record) => printFlags(value(record), delimiter, pairs);
      }
      case "__print_hex":
      case "__print_hex_str":
        return this.#hexCall(name === "__print_hex" ? " " : "");
      default:
        throw new TypeError(`"print" expected a known function, got ${JSON.stringify(name)}`);
    }
  }

  #hexCall(separator: string): Node {
    let field: FieldLayout;
    if (this.#name() === "REC") {
      this.#expect("->");
      field = this.#field(this.#name());
    } else {
      this.#expect("(");
      field = this.#field(this.#name());
      this.#expect(")");
    }
    this.#expect(",");
    const length = this.#expression(1);
    this.#expect(")");
    return (record) => hex(bytesOf(record, field).subarray(0, Number(length(record))), separator);
  }

  #pairs(): [number | bigint, string][] {
    const pairs: [number | bigint, string][] = [];
    while (this.#accept(",")) {
      this.#expect("{");
      const key = this.#expression(1)(new Uint8Array(0));
      this.#expect(",");
      pairs.push([typeof key === "string" ? 0 : key, this.#stringLiteral()]);
      this.#expect("}");
    }
    this.#expect(")");
    return pairs;
  }
}

function stringNode(field: FieldLayout): Node {
  return (record) => {
    const text = readString(record, field);
    if (text === undefined) throw new InvalidRecord();
    return text;
  };
}

function bytesOf(record: Uint8Array, field: FieldLayout): Uint8Array {
  if (field.kind === FIELD_DYNAMIC_ARRAY || field.kind === FIELD_DYNAMIC_STRING) {
    const bytes = readDynamic(record, field);
    if (bytes === undefined) throw new InvalidRecord();
    return bytes;
  }
  return record.subarray(field.offset, field.offset + field.size);
}

function hex(bytes: Uint8Array, separator: string): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(separator);
}

function printSymbolic(value: PrintValue, pairs: readonly [number | bigint, string][]): string {
  for (const [key, name] of pairs) if (key === value) return name;
  return `0x${wrap(value, 64, false).toString(16)}`;
}

function printFlags(value: PrintValue, delimiter: string, pairs: readonly [number | bigint, string][]): string {
  const names: string[] = [];
  let left = value;
  for (const [mask, name] of pairs) {
    if (arithmetic("&", left, mask) !== mask) continue;
    if (mask === 0 && value !== 0) continue;
    names.push(name);
    left = arithmetic("&", left, arithmetic("^", -1, mask));
  }
  if (truth(left)) names.push(`0x${wrap(left, 64, false).toString(16)}`);
  return names.join(delimiter);
}

function truth(value: PrintValue): boolean {
  return value !== 0 && value !== 0n;
}

function binary(op: string, left: Node, right: Node): Node {
  if (op === "&&") return (record) => (truth(left(record)) && truth(right(record)) ? 1 : 0);
  if (op === "||") return (record) => (truth(left(record)) || truth(right(record)) ? 1 : 0);
  return (record) => arithmetic(op, left(record), right(record));
}

/** A C binary operator on 64-bit integers; small operands stay plain numbers. */
function arithmetic(op: string, left: PrintValue, right: PrintValue): number | bigint {
  if (typeof left === "string" || typeof right === "string") return 0;
  switch (op) {
    case "==":
      return left === right ? 1 : 0;
    case "!=":
      return left === right ? 0 : 1;
    case "<":
      return left < right ? 1 : 0;
    case ">":
      return left > right ? 1 : 0;
    case "<=":
      return left <= right ? 1 : 0;
    case ">=":
      return left >= right ? 1 : 0;
  }
  if (typeof left === "number" && typeof right === "number" && left === (left | 0) && right === (right | 0)) {
    switch (op) {
      case "&":
        return left & right;
      case "|":
        return left | right;
      case "^":
        return left ^ right;
      case "+":
        return left + right;
      case "-":
        return left - right;
      case ">>":
        return right >= 0 && right < 32 ? left >> right : left < 0 ? -1 : 0;
      case "<<":
        if (right >= 0 && right < 21) return left * 2 ** right;
        break;
      case "/":
        return right === 0 ? 0 : Math.trunc(left / right);
      case "%":
        return right === 0 ? 0 : left % right;
    }
  }
  return normalise(BigInt.asIntN(64, wide(op, BigInt(left), BigInt(right))));
}

function wide(op: string, left: bigint, right: bigint): bigint {
  switch (op) {
    case "&":
      return left & right;
    case "|":
      return left | right;
    case "^":
      return left ^ right;
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "<<":
      return left << BigInt.asUintN(6, right);
    case ">>":
      return left >> BigInt.asUintN(6, right);
    case "/":
      return right === 0n ? 0n : left / right;
    default:
      return right === 0n ? 0n : left % right;
  }
}
