/**
 * A gdb that is connected: the commands of the remote serial protocol ("Remote Protocol", Appendix E of the GDB manual).
 *
 *   const session = new GdbSession(machine, (text) => socket.write(text, "latin1"));
 *   session.push(bytes) ...        // as they come
 *   session.close();               // the connection is gone: the program goes on
 *
 * All-stop mode, one process at a time; threads are Linux's, by tid. Commands that are not known get the empty answer, as the
 * protocol demands.
 */
import { SIGKILL } from "linux-abi";
import { kernelSignal, sendToProcess, type Task } from "starry-kernel";
import type { Machine } from "../machine.ts";
import { GuestFileIo } from "./guest-file-io.ts";
import { monitor } from "./monitor.ts";
import { encodePacket, fromBinary, fromHex, hexToText, PacketReader, textToHex, toHex } from "./packet.ts";
import { fromGdbSignal } from "./signals.ts";
import type { DebugTarget, Event, ResumeAction, WatchType } from "./target.ts";
import {
  packRegisters,
  readRegister,
  REG_FP,
  REG_PC,
  REG_SP,
  unpackRegisters,
  writeRegister,
} from "./target-description.ts";
import { transfer } from "./transfer.ts";

/** Longest payload that gdb may send. */
const PACKET_SIZE = 0x4000;
const FEATURES = [
  `PacketSize=${PACKET_SIZE.toString(16)}`,
  "QStartNoAckMode+",
  "qXfer:features:read+",
  "qXfer:exec-file:read+",
  "qXfer:auxv:read+",
  "qXfer:threads:read+",
  "qXfer:siginfo:read+",
  "QPassSignals+",
  "swbreak+",
  "vContSupported+",
  "exec-events+",
].join(";");

const ERROR_ARGUMENT = "E16"; // EINVAL
const ERROR_MEMORY = "E0e"; // EFAULT
const ERROR_THREAD = "E03"; // ESRCH

const WATCH_TYPES: Readonly<Record<string, WatchType>> = { "2": "watch", "3": "rwatch", "4": "awatch" };

export class GdbSession {
  readonly #machine: Machine;
  readonly #target: DebugTarget;
  readonly #files: GuestFileIo;
  readonly #reader: PacketReader;
  readonly #write: (text: string) => void;
  #lastSent = "";
  /** Thread for g, m and the like (Hg), and for c and s (Hc; 0 all). */
  #general = 0;
  #running = 0;
  #isOpen = true;
  /** gdb writes and reads thread ids as pPID.TID. With real process ids it looks into /proc, which it needs to find the vDSO. */
  #multiprocess = false;
  #pid = 0;

  /**
   * Attaches to the machine's debugged process, which stops. `write` gets characters that are one byte each.
   * @throws TypeError if the machine was not made with `debug`.
   */
  constructor(machine: Machine, write: (text: string) => void) {
    const target = machine.debug;
    if (target === null) throw new TypeError('"machine" expected one with the option debug');
    this.#machine = machine;
    this.#target = target;
    this.#files = new GuestFileIo(machine.fs);
    this.#write = write;
    this.#reader = new PacketReader({
      packet: (payload) => this.#packet(payload),
      interrupt: () => target.interrupt(),
      send: write,
      resend: () => this.#write(this.#lastSent),
    });
    target.onEvent = (event) => this.#reply(this.#eventText(event));
    target.attach();
  }

  /** Bytes from gdb. */
  push(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  /** The connection is gone. The program goes on. Idempotent. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#target.onEvent = () => {};
    if (this.#target.attached) this.#target.detach();
  }

  #packet(payload: string): void {
    if (!this.#isOpen) return;
    const answer = this.#answer(payload);
    if (answer !== null) this.#reply(answer);
    if (payload === "QStartNoAckMode") this.#reader.acknowledge = false;
  }

  #reply(text: string): void {
    this.#lastSent = encodePacket(text);
    this.#write(this.#lastSent);
  }

  /** null: the answer comes when the program stops. */
  #answer(payload: string): string | null {
    const rest = payload.slice(1);
    switch (payload[0]) {
      case "?":
        return this.#target.lastEvent === null ? "W00" : this.#eventText(this.#target.lastEvent);
      case "!":
        return "OK";
      case "g":
      case "G":
      case "p":
      case "P":
        return this.#registers(payload[0], rest);
      case "m":
        return this.#readMemory(rest);
      case "M":
      case "X":
        return this.#writeMemory(payload[0], rest);
      case "Z":
      case "z":
        return this.#point(payload[0] === "Z", rest);
      case "H":
        return this.#select(rest);
      case "T":
        return this.#target.thread(threadId(rest)) === undefined ? ERROR_THREAD : "OK";
      case "c":
      case "s":
      case "C":
      case "S":
        return this.#resumeOld(payload[0], rest);
      case "D":
        this.#target.detach();
        return "OK";
      case "k":
        this.#kill();
        return null;
      case "q":
      case "Q":
        return this.#query(payload);
      case "v":
        return this.#verbose(payload);
      default:
        return "";
    }
  }

  /** The thread that g, m ... mean. */
  get #task(): Task | undefined {
    const { threads } = this.#target;
    return threads.find((task) => task.tid === this.#general) ?? threads[0];
  }

  #eventText(event: Event): string {
    switch (event.kind) {
      case "exited":
        return `W${byte(event.status)}${this.#processText()}`;
      case "killed":
        return `X${byte(event.signal)}${this.#processText()}`;
      default: {
        this.#general = event.tid;
        const task = this.#target.thread(event.tid);
        const registers =
          task === undefined
            ? []
            : [REG_SP, REG_FP, REG_PC].map((n) => `${byte(n)}:${toHex(readRegister(task, n) as Uint8Array)};`);
        return `T${byte(event.signal)}thread:${this.#idText(event.tid)};${registers.join("")}${reasonText(event.reason)}`;
      }
    }
  }

  /** A thread id as gdb has it. */
  #idText(tid: number): string {
    this.#pid = this.#target.process?.pid ?? this.#pid;
    return this.#multiprocess ? `p${this.#pid.toString(16)}.${tid.toString(16)}` : tid.toString(16);
  }

  #processText(): string {
    return this.#multiprocess ? `;process:${this.#pid.toString(16)}` : "";
  }

  #registers(command: string, rest: string): string {
    const task = this.#task;
    if (task === undefined) return ERROR_THREAD;
    if (command === "g") return toHex(packRegisters(task));
    const [number, value = ""] = rest.split("=");
    if (command === "p") {
      const bytes = readRegister(task, Number.parseInt(number, 16));
      return bytes === undefined ? ERROR_ARGUMENT : toHex(bytes);
    }
    // A system call that sleeps will store its result into them: they cannot be changed now.
    if (task.wait !== null) return ERROR_ARGUMENT;
    const bytes = fromHex(command === "G" ? rest : value);
    if (bytes === undefined) return ERROR_ARGUMENT;
    const isDone =
      command === "G" ? unpackRegisters(task, bytes) : writeRegister(task, Number.parseInt(number, 16), bytes);
    return isDone ? "OK" : ERROR_ARGUMENT;
  }

  #readMemory(rest: string): string {
    const [va, length] = hexNumbers(rest);
    if (!Number.isSafeInteger(va) || !(length >= 0)) return ERROR_MEMORY;
    const bytes = this.#target.read(va, Math.min(length, PACKET_SIZE / 2));
    return bytes.length === 0 && length > 0 ? ERROR_MEMORY : toHex(bytes);
  }

  #writeMemory(command: string, rest: string): string {
    const colon = rest.indexOf(":");
    const [va, length] = hexNumbers(rest.slice(0, colon));
    const data = rest.slice(colon + 1);
    const bytes = command === "M" ? fromHex(data) : fromBinary(data);
    if (colon < 0 || bytes === undefined || bytes.length !== length) return ERROR_ARGUMENT;
    if (length === 0) return "OK"; // gdb asks whether X is known
    return Number.isSafeInteger(va) && this.#target.write(va, bytes) ? "OK" : ERROR_MEMORY;
  }

  #point(add: boolean, rest: string): string {
    const [type, address = "", kind = ""] = rest.split(";")[0].split(",");
    const va = Number.parseInt(address, 16);
    const size = Number.parseInt(kind, 16);
    if (!Number.isSafeInteger(va) || !(size > 0)) return ERROR_ARGUMENT;
    const target = this.#target;
    const watch = WATCH_TYPES[type];
    if (watch !== undefined) {
      if (add) target.addWatchpoint(va, size, watch);
      else target.removeWatchpoint(va, size, watch);
      return "OK";
    }
    if (type !== "0" && type !== "1") return "";
    if (add) return target.addBreakpoint(va, size) ? "OK" : ERROR_MEMORY;
    target.removeBreakpoint(va);
    return "OK";
  }

  #select(rest: string): string {
    const tid = threadId(rest.slice(1));
    if (tid > 0 && this.#target.thread(tid) === undefined) return ERROR_THREAD;
    if (rest[0] === "g") this.#general = Math.max(tid, 0);
    else this.#running = Math.max(tid, 0);
    return "OK";
  }

  /** c, s, C, S: for the thread that Hc chose; the others go on with it. */
  #resumeOld(command: string, rest: string): null | string {
    const hasSignal = command === "C" || command === "S";
    const [signal, address = ""] = hasSignal ? rest.split(";") : ["0", rest];
    const task = this.#target.thread(this.#running) ?? this.#task;
    if (task === undefined) return ERROR_THREAD;
    if (address !== "") task.pc = Number.parseInt(address, 16);
    const kind = command === "s" || command === "S" ? "step" : "continue";
    const actions = [action(task.tid, kind, Number.parseInt(signal, 16))];
    if (this.#running === 0) actions.push(action(0, "continue", 0));
    this.#target.resume(actions);
    return null;
  }

  #verbose(payload: string): string | null {
    if (payload === "vCont?") return "vCont;c;C;s;S;r";
    if (payload.startsWith("vCont;")) return this.#resume(payload.slice(6));
    if (payload.startsWith("vFile:")) return this.#files.answer(payload.slice(6));
    if (payload.startsWith("vKill")) {
      this.#kill();
      return "OK";
    }
    if (payload.startsWith("vAttach;")) {
      if (!this.#target.select(Number.parseInt(payload.slice(8), 16))) return ERROR_THREAD;
      this.#target.attach();
      return this.#eventText(this.#target.lastEvent as Event);
    }
    return "";
  }

  #resume(text: string): null | string {
    if (this.#target.threads.length === 0) return ERROR_THREAD;
    const actions: ResumeAction[] = [];
    for (const word of text.split(";")) {
      const [what, thread = "-1"] = word.split(":");
      const tid = Math.max(threadId(thread), 0);
      const value = what.slice(1);
      if (what[0] === "c" || what[0] === "C") actions.push(action(tid, "continue", Number.parseInt(value || "0", 16)));
      else if (what[0] === "s" || what[0] === "S") actions.push(action(tid, "step", Number.parseInt(value || "0", 16)));
      else if (what[0] === "r") {
        const [start, end] = hexNumbers(value);
        actions.push({ tid, kind: "range", signal: 0, start, end });
      } else return ERROR_ARGUMENT;
    }
    this.#target.resume(actions);
    return null;
  }

  #kill(): void {
    const { process, kernel } = this.#target;
    this.#target.onEvent = () => {};
    // Process 1 cannot be killed; without it there is no machine.
    if (process?.pid === 1) kernel.halt("stopped", 137, "killed by the debugger");
    else if (process !== null) sendToProcess(process, kernelSignal(SIGKILL));
    this.#target.detach();
  }

  #query(payload: string): string {
    const [name] = payload.split(/[:,;]/, 1);
    const rest = payload.slice(name.length + 1);
    switch (name) {
      case "qSupported":
        this.#target.reportExec = rest.includes("exec-events+");
        this.#multiprocess = rest.includes("multiprocess+");
        return this.#multiprocess ? `${FEATURES};multiprocess+` : FEATURES;
      case "QStartNoAckMode":
        return "OK";
      case "qC":
        return `QC${this.#idText(this.#task?.tid ?? 0)}`;
      case "qAttached":
        return "1";
      case "qfThreadInfo":
        return `m${this.#target.threads.map((task) => this.#idText(task.tid)).join(",")}`;
      case "qsThreadInfo":
        return "l";
      case "qThreadExtraInfo":
        return textToHex(this.#target.thread(threadId(rest))?.comm ?? "");
      case "qXfer":
        return transfer(rest, this.#target, (tid) => this.#idText(tid));
      case "QPassSignals":
        this.#passSignals(rest);
        return "OK";
      case "qRcmd":
        return (
          textToHex(monitor(hexToText(rest) ?? "", this.#target, this.#machine.board, this.#task?.tid ?? 0)) || "OK"
        );
      case "qSymbol":
        return "OK";
      default:
        return "";
    }
  }

  #passSignals(list: string): void {
    const { passedSignals } = this.#target;
    passedSignals.clear();
    for (const word of list.split(";")) passedSignals.add(fromGdbSignal(Number.parseInt(word, 16)));
  }
}

function action(tid: number, kind: "continue" | "step", gdbSignal: number): ResumeAction {
  return { tid, kind, signal: fromGdbSignal(gdbSignal), start: 0, end: 0 };
}

/** "exec:PATH" carries its path hex coded. */
function reasonText(reason: string): string {
  if (reason === "") return "";
  const colon = reason.indexOf(":");
  const [name, value] = [reason.slice(0, colon), reason.slice(colon + 1)];
  return `${name}:${name === "exec" ? textToHex(value) : value};`;
}

/** 0 any, -1 all, or a tid; from TID, pPID.TID, or pPID, which means all its threads. */
function threadId(text: string): number {
  const dot = text.indexOf(".");
  const tid = text[0] !== "p" ? text : dot < 0 ? "-1" : text.slice(dot + 1);
  return tid === "-1" ? -1 : Number.parseInt(tid, 16) || 0;
}

function hexNumbers(text: string): number[] {
  return text.split(",").map((word) => Number.parseInt(word, 16));
}

function byte(value: number): string {
  return value.toString(16).padStart(2, "0");
}
