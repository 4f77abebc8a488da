/**
 * GDB remote serial protocol, the packet layer ("Remote Protocol", Appendix E of the GDB manual).
 *
 *   $payload#cc     cc: sum of the payload's bytes modulo 256, two hex digits; "+" or "-" answers, unless QStartNoAckMode
 *   0x03            interrupt, outside of packets
 *   }c              in a payload: the byte c ^ 0x20
 *
 * Payloads are strings in which each character is one byte.
 */

const DOLLAR = 0x24;
const HASH = 0x23;
const PLUS = 0x2b;
const MINUS = 0x2d;
const ESCAPE = 0x7d;
const INTERRUPT = 0x03;
/** Longest payload that is kept; longer ones are answered like damaged ones. */
export const MAX_PAYLOAD = 0x10000;

/** What the reader finds in the stream. */
export interface PacketHandler {
  packet(payload: string): void;
  interrupt(): void;
  /** Bytes for the other side: acknowledgements. */
  send(text: string): void;
  /** The other side did not understand the last packet. */
  resend(): void;
}

/** Cuts a stream of bytes into packets. */
export class PacketReader {
  /** Answer packets with + and -. */
  acknowledge = true;
  readonly #handler: PacketHandler;
  #payload = "";
  #sum = 0;
  /** 0 outside, 1 in the payload, 2 after an escape, 3 and 4 at the digits of the checksum. */
  #state = 0;
  #digit = "";

  constructor(handler: PacketHandler) {
    this.#handler = handler;
  }

  push(bytes: Uint8Array): void {
    for (const byte of bytes) this.#byte(byte);
  }

  #byte(byte: number): void {
    switch (this.#state) {
      case 0:
        if (byte === DOLLAR) this.#begin();
        else if (byte === INTERRUPT) this.#handler.interrupt();
        else if (byte === MINUS && this.acknowledge) this.#handler.resend();
        return;
      case 1:
        if (byte === HASH) this.#state = 3;
        else if (byte === DOLLAR) this.#begin();
        else {
          this.#sum += byte;
          if (byte === ESCAPE) this.#state = 2;
          else this.#append(byte);
        }
        return;
      case 2:
        this.#sum += byte;
        this.#append(byte ^ 0x20);
        this.#state = 1;
        return;
      case 3:
        this.#digit = String.fromCharCode(byte);
        this.#state = 4;
        return;
      default:
        this.#state = 0;
        this.#end(Number.parseInt(this.#digit + String.fromCharCode(byte), 16));
    }
  }

  #begin(): void {
    this.#payload = "";
    this.#sum = 0;
    this.#state = 1;
  }

  #append(byte: number): void {
    if (this.#payload.length <= MAX_PAYLOAD) this.#payload += String.fromCharCode(byte);
  }

  #end(checksum: number): void {
    const isGood = checksum === (this.#sum & 0xff) && this.#payload.length <= MAX_PAYLOAD;
    if (this.acknowledge) this.#handler.send(String.fromCharCode(isGood ? PLUS : MINUS));
    if (isGood) this.#handler.packet(this.#payload);
  }
}

/** The packet with this payload. */
export function encodePacket(payload: string): string {
  let body = "";
  let sum = 0;
  for (const char of payload) {
    const escaped = "#$}*".includes(char) ? `}${String.fromCharCode(char.charCodeAt(0) ^ 0x20)}` : char;
    for (let n = 0; n < escaped.length; n++) sum += escaped.charCodeAt(n);
    body += escaped;
  }
  return `$${body}#${(sum & 0xff).toString(16).padStart(2, "0")}`;
}

/** Two hex digits a byte. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

/** undefined if `text` is no sequence of hex bytes. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return undefined;
  return Uint8Array.from({ length: text.length / 2 }, (_, n) => Number.parseInt(text.slice(n * 2, n * 2 + 2), 16));
}

export function toBinary(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

export function fromBinary(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** UTF-8 text, hex coded, as names and messages travel. */
export function textToHex(text: string): string {
  return toHex(new TextEncoder().encode(text));
}

export function hexToText(hex: string): string | undefined {
  const bytes = fromHex(hex);
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}
