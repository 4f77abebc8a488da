/**
 * One port of a virtio console: a pair of queues.
 *
 *   receive   RECEIVE_BUFFERS buffers wait in the queue; a used one is read out by `read` and goes back
 *   transmit  `write` copies to a DMA page, one request at a time, and polls until the device took it
 */
import { BufferRing } from "./buffer-ring.ts";
import type { DriverCore } from "./driver-core.ts";
import { ERR_DEVICE_FAULT } from "./error.ts";
import { type DmaRegion, PAGE_SIZE } from "./hal.ts";
import { DescriptorList, type VirtQueue } from "./queue.ts";

const RECEIVE_BUFFERS = 8;
const RECEIVE_BUFFER_SIZE: number = PAGE_SIZE / RECEIVE_BUFFERS;

export class ConsolePort {
  readonly id: number;
  /** Has the device announced this port? Always true for port 0 of a console without MULTIPORT. */
  isPresent = false;
  /** Is it meant for a console, as opposed to some other stream of bytes? */
  isConsole = false;
  /** Is somebody listening at the host's end? */
  isHostOpen = false;
  /** Name that the device gave the port; "" if none. */
  name = "";
  /** Window of a console port, if the device told it with a resize message. */
  columns = 0;
  rows = 0;
  readonly #core: DriverCore;
  readonly #transmit: VirtQueue;
  readonly #ring: BufferRing;
  readonly #transmitPage: DmaRegion;
  readonly #list: DescriptorList = new DescriptorList(1);
  // The buffer that `read` is taking bytes from; -1 = none.
  #current = -1;
  #currentAt = 0;
  #currentLength = 0;

  constructor(core: DriverCore, id: number, queues: readonly [VirtQueue, VirtQueue], pages: readonly DmaRegion[]) {
    this.id = id;
    this.#core = core;
    this.#transmit = queues[1];
    this.#ring = new BufferRing(core, queues[0], pages[0], RECEIVE_BUFFER_SIZE);
    this.#transmitPage = pages[1];
    this.#transmit.setDevNotify(false);
    this.#ring.offerAll();
  }

  /** The device may fill the receive buffers from now on. */
  start(): void {
    this.#ring.kick();
  }

  /** Takes received bytes; returns how many, 0 if there are none now, or ERR_DEVICE_FAULT. */
  read(target: Uint8Array): number {
    let done = 0;
    while (done < target.length) {
      if (this.#current < 0 && !this.#nextBuffer()) break;
      const { bytes } = this.#ring;
      const start = this.#ring.start(this.#current);
      const end = Math.min(this.#currentLength, this.#currentAt + target.length - done);
      while (this.#currentAt < end) target[done++] = bytes[start + this.#currentAt++];
      if (this.#currentAt === this.#currentLength) this.#returnCurrent();
    }
    return done === 0 && this.#core.isFaulty ? ERR_DEVICE_FAULT : done;
  }

  /** Sends all of `bytes`. Returns their number or an error. */
  write(bytes: Uint8Array): number {
    if (this.#core.isFaulty) return ERR_DEVICE_FAULT;
    const page = this.#transmitPage.view;
    for (let at = 0; at < bytes.length; at += PAGE_SIZE) {
      const length = Math.min(bytes.length - at, PAGE_SIZE);
      if (at === 0 && length === bytes.length) page.set(bytes);
      else page.set(bytes.subarray(at, at + length));
      this.#list.clear();
      this.#list.pushReadable(this.#transmitPage.paddr, length);
      const result = this.#core.execute(this.#transmit, this.#list);
      if (result < 0) return result;
    }
    return bytes.length;
  }

  /** Makes the next used receive buffer the current one. False if there is none. */
  #nextBuffer(): boolean {
    const buffer = this.#ring.take();
    if (buffer < 0) return false;
    this.#current = buffer;
    this.#currentAt = 0;
    this.#currentLength = this.#ring.length;
    if (this.#currentLength > 0) return true;
    this.#returnCurrent(); // an empty answer is no input; a device that keeps sending them must not keep us here
    return false;
  }

  #returnCurrent(): void {
    this.#ring.giveBack(this.#current);
    this.#current = -1;
  }
}
