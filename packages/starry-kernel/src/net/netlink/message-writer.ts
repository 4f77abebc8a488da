/** Building netlink messages: a header, a fixed part, and aligned attributes. */
import { NLMSG_FLAGS, NLMSG_HEADER, NLMSG_LENGTH, NLMSG_PID, NLMSG_SEQ, NLMSG_TYPE } from "./constants.ts";

const ATTRIBUTE_HEADER = 4;

function align4(n: number): number {
  return (n + 3) & ~3;
}

export class MessageWriter {
  readonly #bytes: Uint8Array = new Uint8Array(1024);
  readonly view: DataView = new DataView(this.#bytes.buffer);
  #length: number;

  /** `fixedBytes`: size of the structure behind the header; it starts zeroed, at `NLMSG_HEADER`. */
  constructor(type: number, flags: number, seq: number, pid: number, fixedBytes: number) {
    this.view.setUint16(NLMSG_TYPE, type, true);
    this.view.setUint16(NLMSG_FLAGS, flags, true);
    this.view.setUint32(NLMSG_SEQ, seq, true);
    this.view.setUint32(NLMSG_PID, pid, true);
    this.#length = NLMSG_HEADER + align4(fixedBytes);
  }

  attribute(type: number, value: Uint8Array): this {
    this.view.setUint16(this.#length, ATTRIBUTE_HEADER + value.length, true);
    this.view.setUint16(this.#length + 2, type, true);
    this.#bytes.set(value, this.#length + ATTRIBUTE_HEADER);
    this.#length += align4(ATTRIBUTE_HEADER + value.length);
    return this;
  }

  u32(type: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    return this.attribute(type, bytes);
  }

  u8(type: number, value: number): this {
    return this.attribute(type, new Uint8Array([value]));
  }

  /** With its NUL. */
  text(type: number, value: string): this {
    return this.attribute(type, new TextEncoder().encode(`${value}\0`));
  }

  finish(): Uint8Array {
    this.view.setUint32(NLMSG_LENGTH, this.#length, true);
    return this.#bytes.slice(0, this.#length);
  }
}

export function ip4Bytes(ip: number): Uint8Array {
  return new Uint8Array([ip >>> 24, (ip >>> 16) & 0xff, (ip >>> 8) & 0xff, ip & 0xff]);
}
