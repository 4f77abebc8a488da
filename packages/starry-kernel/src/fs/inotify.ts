/**
 * inotify(7): watches on nodes, a queue of events per instance.
 *
 * The VFS reports every event once (`Vfs.notify`, set while an instance exists); it reaches the watches of the node itself and, with
 * a name, those of the directory through which the node was reached. A watch keeps its path in use until it is removed.
 */
import {
  EAGAIN,
  EINVAL,
  ENOTTY,
  FIONREAD,
  INOTIFY_EVENT_COOKIE,
  INOTIFY_EVENT_LEN,
  INOTIFY_EVENT_MASK,
  INOTIFY_EVENT_SIZE,
  INOTIFY_EVENT_WD,
  IN_ALL_EVENTS,
  IN_DELETE_SELF,
  IN_IGNORED,
  IN_ISDIR,
  IN_MASK_ADD,
  IN_MASK_CREATE,
  IN_ONESHOT,
  IN_Q_OVERFLOW,
  EEXIST,
  POLLIN,
  POLLRDNORM,
  encodeName,
} from "linux-abi";
import type { Dentry, Path, Vfs, VfsNode } from "vfs-inode";
import { OpenFile } from "../file.ts";
import type { IoBuffer } from "../io-buffer.ts";
import type { Task } from "../task/task.ts";

/** fs.inotify.max_queued_events */
export const MAX_QUEUED_EVENTS = 16384;

interface Watch {
  readonly wd: number;
  mask: number;
  readonly path: Path;
  readonly node: VfsNode;
  readonly owner: InotifyFile;
}

interface QueuedEvent {
  readonly wd: number;
  readonly mask: number;
  readonly cookie: number;
  /** With NUL padding to a multiple of 16. */
  readonly name: Uint8Array;
}

const NO_NAME = new Uint8Array(0);

function watchesOf(node: VfsNode): Set<Watch> | null {
  return node.watches as Set<Watch> | null;
}

/** Connects a VFS to its inotify instances; counts them. */
export class InotifyHub {
  readonly #vfs: Vfs;
  #instances = 0;

  constructor(vfs: Vfs) {
    this.#vfs = vfs;
  }

  opened(): void {
    if (this.#instances++ === 0) this.#vfs.notify = deliver;
  }

  closed(): void {
    if (--this.#instances === 0) this.#vfs.notify = null;
  }
}

function deliver(node: VfsNode, mask: number, name: string | null, cookie: number, dentry?: Dentry): void {
  const own = watchesOf(node);
  if (own !== null) for (const watch of [...own]) watch.owner.report(watch, mask, name, cookie);
  const parent = name === null ? dentry?.parent?.node : null;
  if (!parent || !dentry?.hashed) return;
  const above = watchesOf(parent);
  if (above !== null) for (const watch of [...above]) watch.owner.report(watch, mask, dentry.name, cookie);
}

export class InotifyFile extends OpenFile {
  readonly #hub: InotifyHub;
  readonly #watches: Map<number, Watch> = new Map();
  #queue: QueuedEvent[] = [];
  #queuedBytes = 0;
  #lastWd = 0;

  constructor(hub: InotifyHub, flags: number) {
    super(flags);
    this.#hub = hub;
    hub.opened();
  }

  override get anonymousName(): string {
    return "anon_inode:inotify";
  }

  /** inotify_add_watch(2): the watch descriptor or -errno. */
  add(path: Path, mask: number): number {
    const node = path.node;
    let existing: Watch | undefined;
    for (const watch of watchesOf(node) ?? []) if (watch.owner === this) existing = watch;
    const kept = mask & (IN_ALL_EVENTS | IN_ONESHOT);
    if (existing !== undefined) {
      if ((mask & IN_MASK_CREATE) !== 0) return -EEXIST;
      existing.mask = (mask & IN_MASK_ADD) !== 0 ? existing.mask | kept : kept;
      return existing.wd;
    }
    const watch: Watch = { wd: ++this.#lastWd, mask: kept, path: path.pin(), node, owner: this };
    this.#watches.set(watch.wd, watch);
    node.watches ??= new Set<Watch>();
    (node.watches as Set<Watch>).add(watch);
    return watch.wd;
  }

  /** inotify_rm_watch(2). */
  remove(wd: number): number {
    const watch = this.#watches.get(wd);
    if (watch === undefined) return -EINVAL;
    this.#drop(watch);
    this.#push(wd, IN_IGNORED, null, 0);
    return 0;
  }

  #drop(watch: Watch): void {
    this.#watches.delete(watch.wd);
    const set = watchesOf(watch.node);
    set?.delete(watch);
    if (set?.size === 0) watch.node.watches = null;
    watch.path.unpin();
  }

  report(watch: Watch, mask: number, name: string | null, cookie: number): void {
    if ((mask & watch.mask & IN_ALL_EVENTS) !== 0) {
      this.#push(watch.wd, mask & (IN_ALL_EVENTS | IN_ISDIR), name, cookie);
      if ((watch.mask & IN_ONESHOT) !== 0) {
        this.#drop(watch);
        this.#push(watch.wd, IN_IGNORED, null, 0);
        return;
      }
    }
    if ((mask & IN_DELETE_SELF) !== 0 && name === null && this.#watches.has(watch.wd)) {
      this.#drop(watch);
      this.#push(watch.wd, IN_IGNORED, null, 0);
    }
  }

  #push(wd: number, mask: number, name: string | null, cookie: number): void {
    const last = this.#queue.at(-1);
    const bytes = name === null ? NO_NAME : padded(encodeName(name));
    // An event equal to the last one queued is not queued again (inotify(7)).
    if (last !== undefined && last.wd === wd && last.mask === mask && last.cookie === cookie && equal(last.name, bytes))
      return;
    if (this.#queue.length >= MAX_QUEUED_EVENTS) {
      if (last?.mask === IN_Q_OVERFLOW) return;
      this.#enqueue({ wd: -1, mask: IN_Q_OVERFLOW, cookie: 0, name: NO_NAME });
      return;
    }
    this.#enqueue({ wd, mask, cookie, name: bytes });
  }

  #enqueue(event: QueuedEvent): void {
    this.#queue.push(event);
    this.#queuedBytes += INOTIFY_EVENT_SIZE + event.name.length;
    this.pollSet.wake(POLLIN | POLLRDNORM);
  }

  override read(_task: Task, buffer: IoBuffer, _offset: number): number {
    if (this.#queue.length === 0) return -EAGAIN;
    let done = 0;
    let taken = 0;
    const header = new Uint8Array(INOTIFY_EVENT_SIZE);
    const view = new DataView(header.buffer);
    for (const event of this.#queue) {
      const length = INOTIFY_EVENT_SIZE + event.name.length;
      if (length > buffer.remaining) break;
      view.setInt32(INOTIFY_EVENT_WD, event.wd, true);
      view.setUint32(INOTIFY_EVENT_MASK, event.mask, true);
      view.setUint32(INOTIFY_EVENT_COOKIE, event.cookie, true);
      view.setUint32(INOTIFY_EVENT_LEN, event.name.length, true);
      const put = buffer.put(header, 0, INOTIFY_EVENT_SIZE) + buffer.put(event.name, 0, event.name.length);
      if (put < length) break;
      done += length;
      taken++;
    }
    if (taken === 0 && !buffer.faulted) return -EINVAL;
    this.#queue = this.#queue.slice(taken);
    this.#queuedBytes -= done;
    return buffer.result(done);
  }

  override poll(_task: Task): number {
    return this.#queue.length > 0 ? POLLIN | POLLRDNORM : 0;
  }

  override ioctl(task: Task, request: number, argument: number): number {
    return request === FIONREAD ? task.memory.writeU32(argument, this.#queuedBytes) : -ENOTTY;
  }

  override release(): void {
    for (const watch of [...this.#watches.values()]) this.#drop(watch);
    this.#hub.closed();
  }
}

/** NUL-terminated and padded so that the next event header is aligned. */
function padded(name: Uint8Array): Uint8Array {
  const out = new Uint8Array((name.length + 1 + INOTIFY_EVENT_SIZE - 1) & ~(INOTIFY_EVENT_SIZE - 1));
  out.set(name);
  return out;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
