/** qXfer: objects that gdb reads in pieces. */
import { putSiginfo } from "starry-kernel";
import { toBinary } from "./packet.ts";
import type { DebugTarget } from "./target.ts";
import { targetDescription } from "./target-description.ts";

const SIGINFO_BYTES = 128;

/** Answer to `qXfer:` + `request`, which is OBJECT:read:ANNEX:OFFSET,LENGTH. `idText`: a thread id as gdb has it. */
export function transfer(request: string, target: DebugTarget, idText: (tid: number) => string): string {
  const match = /^([^:]*):read:(.*):([0-9a-f]+),([0-9a-f]+)$/.exec(request);
  if (match === null) return "";
  const [, object, annex] = match;
  const data = contents(object, annex, target, idText);
  if (data === undefined) return "";
  if (data === null) return "E00"; // the annex is wrong
  const offset = Number.parseInt(match[3], 16);
  const end = offset + Number.parseInt(match[4], 16);
  return (end >= data.length ? "l" : "m") + toBinary(data.subarray(offset, end));
}

/** undefined: no such object; null: no such part of it. */
function contents(
  object: string,
  annex: string,
  target: DebugTarget,
  idText: (tid: number) => string,
): Uint8Array | null | undefined {
  const encoder = new TextEncoder();
  switch (object) {
    case "features":
      return annex === "target.xml" ? encoder.encode(targetDescription()) : null;
    case "exec-file":
      return target.process === null ? null : encoder.encode(target.process.executablePath);
    case "auxv":
      return target.threads[0]?.memory.auxv ?? null;
    case "siginfo":
      return signalInfo(target);
    case "threads":
      return encoder.encode(threadList(target, idText));
    default:
      return undefined;
  }
}

/** siginfo_t of the signal that stopped the program. */
function signalInfo(target: DebugTarget): Uint8Array | null {
  const info = target.heldSignal;
  if (info === null) return null;
  const bytes = new Uint8Array(SIGINFO_BYTES);
  putSiginfo(new DataView(bytes.buffer), bytes, 0, info);
  return bytes;
}

function threadList(target: DebugTarget, idText: (tid: number) => string): string {
  const threads = target.threads.map(
    (task) => `<thread id="${idText(task.tid)}" core="0" name="${escapeXml(task.comm)}"/>\n`,
  );
  return `<?xml version="1.0"?>\n<threads>\n${threads.join("")}</threads>\n`;
}

/** Program names may hold any byte; control characters have no place in XML 1.0. */
function escapeXml(text: string): string {
  return [...text]
    .map((char) => (/[<>&"]|[^\x20-\x7e]/.test(char) ? (char < " " ? "?" : `&#${char.codePointAt(0)};`) : char))
    .join("");
}
