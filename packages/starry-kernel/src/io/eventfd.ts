/**
 * eventfd(2): a 64-bit counter that reads take and writes add to.
 *
 * Woken: readers by a write (POLLIN), writers that would overflow by a read (POLLOUT).
 */
import { EAGAIN, EFD_SEMAPHORE, EINVAL, O_RDWR, POLLERR, POLLIN, POLLOUT } from "linux-abi";
import type { Inode } from "vfs-inode";
import { OpenFile } from "../file.ts";
import type { IoBuffer } from "../io-buffer.ts";
import type { Task } from "../task/task.ts";

const BYTES = 8;
const TWO_32 = 2 ** 32;
const MAX_U32 = TWO_32 - 1;

const $word = new Uint8Array(BYTES);
const $wordView = new DataView($word.buffer);

export class EventFile extends OpenFile {
  readonly #inode: Inode;
  readonly #semaphore: boolean;
  // The counter: 0 .. 2^64 − 2, as two unsigned halves.
  #hi = 0;
  #lo: number;

  /** `flags`: EFD_SEMAPHORE and O_NONBLOCK. */
  constructor(inode: Inode, initial: number, flags: number) {
    super(O_RDWR | (flags & ~EFD_SEMAPHORE));
    this.#inode = inode;
    this.#semaphore = (flags & EFD_SEMAPHORE) !== 0;
    this.#lo = initial;
  }

  override get inode(): Inode {
    return this.#inode;
  }

  override get anonymousName(): string {
    return "anon_inode:[eventfd]";
  }

  fdinfo(): string {
    const count = (this.#hi > 0 ? this.#hi.toString(16) : "") + this.#lo.toString(16);
    return `eventfd-count: ${count.padStart(16)}\n`;
  }

  /** For other parts of the kernel that signal an eventfd (aio, KVM-like): adds `n` < 2^32, stopping at the largest value. */
  signal(n: number): void {
    if (!this.#add(0, n)) {
      this.#hi = MAX_U32;
      this.#lo = MAX_U32;
    }
    this.pollSet.wake(POLLIN);
  }

  override read(_task: Task, buffer: IoBuffer, _offset: number): number {
    if (buffer.remaining < BYTES) return -EINVAL;
    if (this.#hi === 0 && this.#lo === 0) return -EAGAIN;
    if (this.#semaphore) {
      $wordView.setUint32(0, 1, true);
      $wordView.setUint32(4, 0, true);
      if (this.#lo === 0) this.#hi--;
      this.#lo = this.#lo === 0 ? MAX_U32 : this.#lo - 1;
    } else {
      $wordView.setUint32(0, this.#lo, true);
      $wordView.setUint32(4, this.#hi, true);
      this.#hi = 0;
      this.#lo = 0;
    }
    this.pollSet.wake(POLLOUT);
    return buffer.result(buffer.put($word, 0, BYTES));
  }

  override write(_task: Task, buffer: IoBuffer, _offset: number): number {
    if (buffer.remaining < BYTES) return -EINVAL;
    // A copy: the bytes must still be there if the call has to wait.
    const look = buffer.detach();
    if (look.take($word, 0, BYTES) < BYTES) return look.result(0);
    const lo = $wordView.getUint32(0, true);
    const hi = $wordView.getUint32(4, true);
    if (hi === MAX_U32 && lo === MAX_U32) return -EINVAL;
    if (!this.#add(hi, lo)) return -EAGAIN;
    buffer.take($word, 0, BYTES);
    this.pollSet.wake(POLLIN);
    return BYTES;
  }

  /** False, and nothing changed, if the sum would exceed 2^64 − 2. */
  #add(hi: number, lo: number): boolean {
    const lowSum = this.#lo + lo;
    const highSum = this.#hi + hi + (lowSum > MAX_U32 ? 1 : 0);
    const low = lowSum > MAX_U32 ? lowSum - TWO_32 : lowSum;
    if (highSum > MAX_U32 || (highSum === MAX_U32 && low === MAX_U32)) return false;
    this.#hi = highSum;
    this.#lo = low;
    return true;
  }

  override poll(_task: Task): number {
    const isMax = this.#hi === MAX_U32;
    let events = this.#hi !== 0 || this.#lo !== 0 ? POLLIN : 0;
    if (isMax && this.#lo === MAX_U32) events |= POLLERR; // overflowed by `signal`
    if (!isMax || this.#lo < MAX_U32 - 1) events |= POLLOUT;
    return events;
  }
}
