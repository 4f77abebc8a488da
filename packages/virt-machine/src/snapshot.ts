/**
 * Snapshot file of a board:
 *
 *   magic "SRYSNAP1" | ramBytes u32 | jsonBytes u32 | pageCount u32 | 0 u32 | device state (JSON, UTF-8) |
 *   pageCount × { page number u32, 4096 bytes }          only pages that hold something else than zero
 *
 * All numbers little endian. Not compressed: pipe it through CompressionStream or zlib to store it.
 */
import type { VirtioMmioState } from "virt-devices";

export interface BoardState {
  readonly hart: { readonly x: number[]; readonly f: number[]; readonly pc: number; readonly fcsr: number };
  readonly plic: readonly number[];
  readonly clint: readonly number[];
  readonly uart: readonly number[];
  readonly rtc: readonly number[];
  readonly virtio: readonly VirtioMmioState[];
}

const MAGIC = "SRYSNAP1";
const HEADER_SIZE = 24;
const PAGE_SIZE = 4096;
const RECORD_SIZE: number = 4 + PAGE_SIZE;

export function writeSnapshot(ram: Uint8Array, state: BoardState): Uint8Array {
  const json = encodeAscii(JSON.stringify(state));
  const pages: number[] = [];
  for (let page = 0; page < ram.length / PAGE_SIZE; page++) if (!isZeroPage(ram, page)) pages.push(page);
  const out = new Uint8Array(HEADER_SIZE + json.length + pages.length * RECORD_SIZE);
  const view = new DataView(out.buffer);
  out.set(encodeAscii(MAGIC));
  view.setUint32(8, ram.length, true);
  view.setUint32(12, json.length, true);
  view.setUint32(16, pages.length, true);
  out.set(json, HEADER_SIZE);
  let at = HEADER_SIZE + json.length;
  for (const page of pages) {
    view.setUint32(at, page, true);
    out.set(ram.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE), at + 4);
    at += RECORD_SIZE;
  }
  return out;
}

/** Checks everything before the first byte of `ram` is changed. */
export function readSnapshot(bytes: Uint8Array, ram: Uint8Array, virtioCount: number): BoardState {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_SIZE || decodeAscii(bytes.subarray(0, 8)) !== MAGIC) throw invalid("it has another format");
  if (view.getUint32(8, true) !== ram.length)
    throw invalid(`it is of a board with ${view.getUint32(8, true)} bytes of RAM`);
  const jsonLength = view.getUint32(12, true);
  const pageCount = view.getUint32(16, true);
  const pagesAt = HEADER_SIZE + jsonLength;
  if (pagesAt + pageCount * RECORD_SIZE !== bytes.length) throw invalid("it is truncated");
  let state: BoardState;
  try {
    state = JSON.parse(decodeAscii(bytes.subarray(HEADER_SIZE, pagesAt))) as BoardState;
  } catch {
    throw invalid("its device state is damaged");
  }
  if (state.virtio.length !== virtioCount) throw invalid(`it is of a board with ${state.virtio.length} virtio devices`);
  for (let i = 0; i < pageCount; i++) {
    if (view.getUint32(pagesAt + i * RECORD_SIZE, true) >= ram.length / PAGE_SIZE)
      throw invalid("a page lies outside RAM");
  }
  ram.fill(0);
  for (let i = 0; i < pageCount; i++) {
    const at = pagesAt + i * RECORD_SIZE;
    ram.set(bytes.subarray(at + 4, at + RECORD_SIZE), view.getUint32(at, true) * PAGE_SIZE);
  }
  return state;
}

function isZeroPage(ram: Uint8Array, page: number): boolean {
  const words = new Int32Array(ram.buffer, ram.byteOffset + page * PAGE_SIZE, PAGE_SIZE / 4);
  for (let i = 0; i < words.length; i++) if (words[i] !== 0) return false;
  return true;
}

function encodeAscii(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function decodeAscii(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(bytes[i]);
  return text;
}

function invalid(reason: string): RangeError {
  return new RangeError(`"bytes" expected a snapshot of this board: ${reason}`);
}
