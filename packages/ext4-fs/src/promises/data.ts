/** File content as callers give and want it. */

export type Encoding = "utf8" | "utf-8";
export type FileData = string | ArrayBufferView | ArrayBuffer;

export function toBytes(data: FileData): Uint8Array {
  if (typeof data === "string") return new TextEncoder().encode(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  throw new TypeError('"data" expected string, ArrayBuffer or view');
}

/** The encoding named by an options argument, as Node takes it: a string or an object. */
export function encodingOf(
  options: string | { readonly encoding?: string | null } | null | undefined,
): Encoding | undefined {
  const name = typeof options === "string" ? options : options?.encoding;
  if (name === undefined || name === null || name === "buffer") return undefined;
  if (name !== "utf8" && name !== "utf-8") throw new TypeError(`"encoding" expected utf8, got ${name}`);
  return name;
}

export function decode(bytes: Uint8Array, encoding: Encoding | undefined): Uint8Array | string {
  return encoding === undefined ? bytes : new TextDecoder().decode(bytes);
}

/** Seconds (numbers, numeric strings) or a Date, as utimes takes them. */
export function toTime(time: number | string | Date): { sec: number; nsec: number } {
  const seconds = time instanceof Date ? time.getTime() / 1000 : Number(time);
  if (!Number.isFinite(seconds)) throw new TypeError(`"time" expected seconds or Date, got ${String(time)}`);
  const sec = Math.floor(seconds);
  return { sec, nsec: Math.min(999_999_999, Math.round((seconds - sec) * 1e9)) };
}
