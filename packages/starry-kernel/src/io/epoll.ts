/**
 * epoll instances (epoll(7)): a set of watched files and the list of those that may be ready.
 *
 * An item is a listener on its file's poll set. A wake-up that concerns it puts it on the ready list; `collect` (epoll_wait) asks
 * each listed file what really holds. A level-triggered item that was reported goes to the end of the list, an edge-triggered one
 * leaves it until the next wake-up, a one-shot one sleeps until EPOLL_CTL_MOD.
 *
 * An item holds no reference to its file: when the last descriptor of a file is closed, the item is dead (`file.count` is 0) and is dropped
 * wherever it is met. Dead items that nothing ever wakes again are swept when the set has doubled.
 *
 * An epoll file may be watched by another, up to EP_MAX_NESTS levels and without loops (`EPOLL_CTL_ADD` checks), so wake-ups
 * and polls recurse that deep at most.
 */
import {
  EEXIST,
  EFAULT,
  EINVAL,
  ELOOP,
  ENOENT,
  EPERM,
  EPOLL_EVENT_DATA,
  EPOLL_EVENT_EVENTS,
  EPOLL_EVENT_SIZE,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLONESHOT,
  EPOLLWAKEUP,
  O_RDWR,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
} from "linux-abi";
import type { Inode } from "vfs-inode";
import { OpenFile } from "../file.ts";
import type { PollListener } from "../poll-set.ts";
import type { Task } from "../task/task.ts";

/** Depth of epoll files watching epoll files (Linux: EP_MAX_NESTS). */
const EP_MAX_NESTS = 4;
const PRIVATE_BITS = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;
const EXCLUSIVE_OK = POLLIN | POLLOUT | POLLERR | POLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
const SWEEP_MINIMUM = 64;

class EpollItem implements PollListener {
  readonly owner: EpollFile;
  readonly file: OpenFile;
  readonly fd: number;
  /** POLL* and EPOLL* bits. Without POLL* bits: a one-shot item that has fired. */
  events = 0;
  /** epoll_event.data, returned as it came. */
  dataLo = 0;
  dataHi = 0;
  /** Another item for the same file under a different descriptor. */
  sibling: EpollItem | null = null;
  // Ready list.
  ready = false;
  before: EpollItem | null = null;
  after: EpollItem | null = null;

  constructor(owner: EpollFile, file: OpenFile, fd: number) {
    this.owner = owner;
    this.file = file;
    this.fd = fd;
  }

  pollWake(events: number): void {
    if (this.file.count <= 0) this.owner.forget(this);
    else if ((events & this.events) !== 0) this.owner.becameReady(this);
  }

  /** What holds now of what was asked. */
  poll(task: Task): number {
    return this.file.poll(task) & this.events;
  }
}

const $event = new Uint8Array(EPOLL_EVENT_SIZE);
const $eventView = new DataView($event.buffer);

export class EpollFile extends OpenFile {
  readonly #inode: Inode;
  readonly #items: Map<OpenFile, EpollItem> = new Map();
  #size = 0;
  #sweepAt = SWEEP_MINIMUM;
  #firstReady: EpollItem | null = null;
  #lastReady: EpollItem | null = null;
  #readyCount = 0;
  /** Epoll files that watch this one. */
  readonly watchers: Set<EpollFile> = new Set();

  constructor(inode: Inode) {
    super(O_RDWR);
    this.#inode = inode;
  }

  override get inode(): Inode {
    return this.#inode;
  }

  override get anonymousName(): string {
    return "anon_inode:[eventpoll]";
  }

  /** One line per watched descriptor, for /proc/PID/fdinfo. */
  fdinfo(): string {
    let text = "";
    for (const first of this.#items.values()) {
      for (let item: EpollItem | null = first; item !== null; item = item.sibling) {
        const data = (item.dataHi >>> 0).toString(16) + (item.dataLo >>> 0).toString(16).padStart(8, "0");
        text += `tfd: ${String(item.fd).padStart(8)} events: ${(item.events >>> 0).toString(16).padStart(8)} data: ${data.replace(/^0+(?=.)/, "").padStart(16)}\n`;
      }
    }
    return text;
  }

  #find(file: OpenFile, fd: number): EpollItem | null {
    let item = this.#items.get(file) ?? null;
    while (item !== null && item.fd !== fd) item = item.sibling;
    return item;
  }

  /** EPOLL_CTL_ADD. `events`: EPOLL* bits; POLLERR and POLLHUP are implied. */
  add(task: Task, file: OpenFile, fd: number, events: number, dataLo: number, dataHi: number): number {
    if (!file.pollable) return -EPERM;
    if (file === this) return -EINVAL;
    if ((events & EPOLLEXCLUSIVE) !== 0 && ((events & ~EXCLUSIVE_OK) !== 0 || file instanceof EpollFile))
      return -EINVAL;
    if (this.#find(file, fd) !== null) return -EEXIST;
    if (file instanceof EpollFile) {
      const depth = file.#depthBelow(this, 1);
      if (depth < 0 || depth + this.#depthAbove(0) > EP_MAX_NESTS) return -ELOOP;
    }
    if (this.#size >= this.#sweepAt) this.#sweep();
    const item = new EpollItem(this, file, fd);
    item.sibling = this.#items.get(file) ?? null;
    this.#items.set(file, item);
    this.#size++;
    if (file instanceof EpollFile) file.watchers.add(this);
    file.pollSet.add(item);
    this.#setInterest(task, item, events, dataLo, dataHi);
    return 0;
  }

  /** EPOLL_CTL_MOD. */
  modify(task: Task, file: OpenFile, fd: number, events: number, dataLo: number, dataHi: number): number {
    const item = this.#find(file, fd);
    if (item === null) return -ENOENT;
    if (((events | item.events) & EPOLLEXCLUSIVE) !== 0) return -EINVAL;
    this.#setInterest(task, item, events, dataLo, dataHi);
    return 0;
  }

  #setInterest(task: Task, item: EpollItem, events: number, dataLo: number, dataHi: number): void {
    item.events = events | POLLERR | POLLHUP;
    item.dataLo = dataLo;
    item.dataHi = dataHi;
    if (item.poll(task) !== 0) this.becameReady(item);
  }

  /** EPOLL_CTL_DEL. */
  remove(file: OpenFile, fd: number): number {
    const item = this.#find(file, fd);
    if (item === null) return -ENOENT;
    this.forget(item);
    return 0;
  }

  /** Takes an item out of everything. */
  forget(item: EpollItem): void {
    const file = item.file;
    file.pollSet.remove(item);
    this.#unready(item);
    const first = this.#items.get(file) as EpollItem;
    if (first === item) {
      if (item.sibling === null) this.#items.delete(file);
      else this.#items.set(file, item.sibling);
    } else {
      let before = first;
      while (before.sibling !== null && before.sibling !== item) before = before.sibling;
      before.sibling = item.sibling;
    }
    this.#size--;
    if (file instanceof EpollFile && !this.#items.has(file)) file.watchers.delete(this);
  }

  #sweep(): void {
    for (const file of this.#items.keys()) {
      if (file.count > 0) continue;
      for (let item = this.#items.get(file); item !== undefined; item = this.#items.get(file)) this.forget(item);
    }
    this.#sweepAt = Math.max(SWEEP_MINIMUM, 2 * this.#size);
  }

  /** Levels of epoll files from this one down, or −1: too many, or `wanted` is among them. */
  #depthBelow(wanted: EpollFile, level: number): number {
    if (this === wanted || level > EP_MAX_NESTS) return -1;
    let deepest = level;
    for (const file of this.#items.keys()) {
      if (!(file instanceof EpollFile) || file.count <= 0) continue;
      const depth = file.#depthBelow(wanted, level + 1);
      if (depth < 0) return -1;
      if (depth > deepest) deepest = depth;
    }
    return deepest;
  }

  /** Levels of epoll files that watch this one. */
  #depthAbove(level: number): number {
    let deepest = level;
    if (level > EP_MAX_NESTS) return level;
    for (const watcher of this.watchers) deepest = Math.max(deepest, watcher.#depthAbove(level + 1));
    return deepest;
  }

  // Ready list

  becameReady(item: EpollItem): void {
    if (!item.ready) this.#pushReady(item);
    // Woken: epoll_wait, poll and outer epoll files.
    this.pollSet.wake(POLLIN | POLLRDNORM);
  }

  #pushReady(item: EpollItem): void {
    item.ready = true;
    item.before = this.#lastReady;
    item.after = null;
    if (this.#lastReady === null) this.#firstReady = item;
    else this.#lastReady.after = item;
    this.#lastReady = item;
    this.#readyCount++;
  }

  #unready(item: EpollItem): void {
    if (!item.ready) return;
    item.ready = false;
    if (item.before === null) this.#firstReady = item.after;
    else item.before.after = item.after;
    if (item.after === null) this.#lastReady = item.before;
    else item.after.before = item.before;
    item.before = null;
    item.after = null;
    this.#readyCount--;
  }

  override poll(task: Task): number {
    for (let item = this.#firstReady; item !== null; item = this.#firstReady) {
      if (item.file.count <= 0) this.forget(item);
      else if (item.poll(task) !== 0) return POLLIN | POLLRDNORM;
      else this.#unready(item);
    }
    return 0;
  }

  /** epoll_wait without waiting: stores up to `max` events at `va`. The count, or -EFAULT if not even one could be stored. */
  collect(task: Task, va: number, max: number): number {
    let stored = 0;
    for (let left = this.#readyCount; left > 0 && stored < max; left--) {
      const item = this.#firstReady;
      if (item === null) break;
      if (item.file.count <= 0) {
        this.forget(item);
        continue;
      }
      const events = item.poll(task);
      this.#unready(item);
      if (events === 0) continue;
      $eventView.setUint32(EPOLL_EVENT_EVENTS, events, true);
      $eventView.setUint32(EPOLL_EVENT_DATA, item.dataLo, true);
      $eventView.setUint32(EPOLL_EVENT_DATA + 4, item.dataHi, true);
      if (task.memory.copyOut(va + stored * EPOLL_EVENT_SIZE, $event, 0, EPOLL_EVENT_SIZE) !== 0) {
        this.#pushReady(item);
        return stored > 0 ? stored : -EFAULT;
      }
      stored++;
      if ((item.events & EPOLLONESHOT) !== 0) item.events &= PRIVATE_BITS;
      else if ((item.events & EPOLLET) === 0) this.#pushReady(item);
    }
    return stored;
  }

  override release(): void {
    for (const first of [...this.#items.values()]) {
      for (let item: EpollItem | null = first; item !== null; ) {
        const next: EpollItem | null = item.sibling;
        this.forget(item);
        item = next;
      }
    }
  }
}
