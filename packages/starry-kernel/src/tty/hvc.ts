/**
 * The virtio console as a terminal: hvc0.
 *
 * Output goes to the device at once (it takes whole pages and answers within the call); input comes by interrupt and waits in the
 * driver's buffers while the terminal is full.
 */
import { makedev } from "linux-abi";
import { INTERRUPT_CONFIG_CHANGE, isVirtioError, type VirtIOConsole } from "virtio-drivers";
import type { Kernel } from "../kernel.ts";
import { Termios } from "./termios.ts";
import { Tty, TtyDriver } from "./tty.ts";

export const HVC_MAJOR = 229;

const CHUNK_BYTES = 512;
const RECEIVE_BUDGET = 65536;
const $chunk = new Uint8Array(CHUNK_BYTES);

export class HvcDriver extends TtyDriver {
  readonly name = "hvc";
  readonly tty: Tty;
  readonly #device: VirtIOConsole;
  #held: Uint8Array = new Uint8Array(0);

  constructor(kernel: Kernel, device: VirtIOConsole) {
    super();
    this.#device = device;
    this.tty = new Tty(kernel, this, "hvc0", makedev(HVC_MAJOR, 0), Termios.forSerial());
    this.#askSize();
  }

  handleInterrupt(): void {
    const events = this.#device.handleInterrupt();
    if ((events & INTERRUPT_CONFIG_CHANGE) !== 0) this.#askSize();
    this.#receive();
  }

  #askSize(): void {
    const size = this.#device.size();
    if (isVirtioError(size)) return;
    this.tty.resize({ rows: size.rows, columns: size.columns, xPixels: 0, yPixels: 0 });
  }

  #receive(): void {
    for (let budget = RECEIVE_BUDGET; budget > 0 && this.#held.length === 0; budget -= CHUNK_BYTES) {
      const count = this.#device.read($chunk);
      if (count <= 0) return;
      const taken = this.tty.receive($chunk, 0, count);
      if (taken < count) this.#held = $chunk.slice(taken, count);
    }
  }

  override unthrottle(): void {
    const held = this.#held;
    if (held.length > 0) this.#held = held.subarray(this.tty.receive(held, 0, held.length));
    this.#receive();
  }

  override flushed(_tty: Tty, input: boolean): void {
    if (input) this.#held = new Uint8Array(0);
  }

  override transmit(tty: Tty): void {
    const ring = tty.output.ring;
    while (ring.length > 0 && !tty.outputStopped) {
      const bytes = ring.head(ring.length);
      this.#device.write(bytes); // a device that fails swallows the output
      ring.skip(bytes.length);
    }
    tty.outputTaken();
  }
}
