/** quotactl(2) through the kernel's table, on a file system that keeps quotas in a map. */
import { MemoryDisk } from "blockdev-disk";
import * as abi from "linux-abi";
import type { QuotaChanges, QuotaEntry, QuotaSource } from "vfs-inode";
import { Tmpfs } from "vfs-inode/tmpfs";
import { beforeEach, expect, test } from "vitest";
import { Caller } from "./caller.ts";
import { Guest } from "./guest.ts";

const [SYNC, ON, OFF, GETFMT, GETINFO, SETINFO, GET, SET, NEXT] = [1, 2, 3, 4, 5, 6, 7, 8, 9];
const [USER, GROUP, PROJECT] = [0, 1, 2];
const command = (what: number, kind: number): number => ((0x800000 + what) << 8) | kind;
const NONE = { soft: 0, hard: 0 };

class Quotas implements QuotaSource {
  readonly entries = new Map<number, QuotaEntry>();
  enforced = false;
  times = { inodes: 7, bytes: 2 ** 31 };

  enforce(on: boolean): number {
    this.enforced = on;
    return 0;
  }
  get(id: number): QuotaEntry {
    const none = { id, inodes: 0, bytes: 0, inodeLimit: NONE, byteLimit: NONE, inodeDeadline: 0, byteDeadline: 0 };
    return this.entries.get(id) ?? none;
  }
  next(from: number): QuotaEntry | number {
    const ids = [...this.entries.keys()].filter((id) => id >= from);
    return ids.length === 0 ? -abi.ENOENT : this.get(Math.min(...ids));
  }
  set(id: number, changes: QuotaChanges): number {
    this.entries.set(id, { ...this.get(id), ...changes });
    return 0;
  }
  grace(): { inodes: number; bytes: number } {
    return this.times;
  }
  setGrace(grace: { inodes?: number; bytes?: number }): number {
    this.times = { ...this.times, ...grace };
    return 0;
  }
}

let users: Quotas;
let root: Caller;
let joe: Caller;

class CountingFs extends Tmpfs {
  quotas(kind: string): QuotaSource | undefined {
    return kind === "project" ? undefined : users;
  }
}

beforeEach(() => {
  users = new Quotas();
  const guest = new Guest({ memory: 32 << 20 });
  guest.mkdir("/tmp", 0o1777);
  guest.mkdir("/mnt");
  root = new Caller(guest);
  joe = new Caller(guest, { uid: 1000, groups: [50] });
  const rdev = abi.makedev(254, 0);
  guest.kernel.blockDevices.set("vda", { name: "vda", rdev, device: new MemoryDisk(1 << 20) });
  guest.kernel.fileSystemTypes.set("counting", {
    name: "counting",
    requiresDevice: true,
    mount: (_kernel, device) => new CountingFs({ deviceNumber: device?.rdev ?? 0 }),
  });
  root.call("mknodat", abi.AT_FDCWD, "/tmp/vda", abi.S_IFBLK | 0o666, rdev);
  root.call("mknodat", abi.AT_FDCWD, "/tmp/other", abi.S_IFBLK | 0o666, abi.makedev(254, 16));
  expect(root.call("mount", "/tmp/vda", "/mnt", "counting", 0, 0)).toBe(0);
});

function dqblk(values: readonly number[], valid: number): number {
  const bytes = new Uint8Array(72);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setBigUint64(i * 8, BigInt(value), true);
  view.setUint32(64, valid, true);
  return root.put(bytes);
}

function entryOf(caller: Caller, what: number, kind: number, id: number): number | number[] {
  const at = caller.room(72);
  const result = caller.call("quotactl", command(what, kind), "/tmp/vda", id, at);
  if (result < 0) return result;
  const view = caller.view(at, 72);
  return [...Array.from({ length: 8 }, (_, i) => Number(view.getBigUint64(i * 8, true))), view.getUint32(68, true)];
}

test("limits are set and read in the units of struct if_dqblk", () => {
  const limits = dqblk([2 ** 33, 5, 0, 12, 10, 0, 0, 0], 1 | 4);
  expect(root.call("quotactl", command(SET, USER), "/tmp/vda", 1000, limits)).toBe(0);
  expect(users.get(1000)).toMatchObject({
    byteLimit: { soft: 5120, hard: 2 ** 43 },
    inodeLimit: { soft: 10, hard: 12 },
  });
  expect(root.call("quotactl", command(SET, USER), "/tmp/vda", 1000, dqblk([0, 0, 0, 0, 0, 0, 99, 98], 16 | 32))).toBe(
    0,
  );
  users.entries.set(1000, { ...users.get(1000), bytes: 2 ** 40 + 1, inodes: 3 });
  expect(entryOf(root, GET, USER, 1000)).toEqual([2 ** 33, 5, 2 ** 40 + 1, 12, 10, 3, 99, 98, 0]);
  users.set(2000, {});
  expect([entryOf(root, NEXT, USER, 1001), entryOf(root, NEXT, USER, 2001)]).toEqual([
    [0, 0, 0, 0, 0, 0, 0, 0, 2000],
    -abi.ENOENT,
  ]);
  expect(root.call("quotactl", command(SET, USER), "/tmp/vda", 1, dqblk([0, 0, 5], 2))).toBe(-abi.EINVAL);
  expect(root.call("quotactl", command(SET, USER), "/tmp/vda", 1, 0x10)).toBe(-abi.EFAULT);
});

test("times of grace, the format, and limits in force or not", () => {
  const at = root.room(24);
  expect(root.call("quotactl", command(GETFMT, USER), "/tmp/vda", 0, at)).toBe(0);
  expect(root.view(at, 4).getUint32(0, true)).toBe(4);
  expect(root.call("quotactl", command(GETINFO, USER), "/tmp/vda", 0, at)).toBe(0);
  const view = root.view(at, 24);
  expect([view.getBigUint64(0, true), view.getBigUint64(8, true), view.getUint32(16, true)]).toEqual([
    2n ** 31n,
    7n,
    0x10000,
  ]);
  const info = new Uint8Array(24);
  info[8] = 9;
  info[20] = 2;
  expect(root.call("quotactl", command(SETINFO, USER), "/tmp/vda", 0, root.put(info))).toBe(0);
  expect(users.times).toEqual({ inodes: 9, bytes: 2 ** 31 });
  expect([root.call("quotactl", command(ON, USER), "/tmp/vda", 4, 0), users.enforced]).toEqual([0, true]);
  expect([root.call("quotactl", command(OFF, USER), "/tmp/vda", 4, 0), users.enforced]).toEqual([0, false]);
  expect([
    root.call("quotactl", command(SYNC, USER), "/tmp/vda", 0, 0),
    root.call("quotactl", command(SYNC, USER), 0, 0, 0),
  ]).toEqual([0, 0]);
});

test("who may not, and what is none, is told as by Linux", () => {
  expect(entryOf(joe, GET, USER, 1000)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0]);
  expect([entryOf(joe, GET, USER, 1001), entryOf(joe, GET, GROUP, 51), entryOf(joe, NEXT, USER, 0)]).toEqual([
    -1, -1, -1,
  ]);
  expect(entryOf(joe, GET, GROUP, 50)).toHaveLength(9);
  expect(joe.call("quotactl", command(ON, USER), "/tmp/vda", 4, 0)).toBe(-abi.EPERM);
  expect([entryOf(root, GET, PROJECT, 0), entryOf(root, GET, 3, 0), entryOf(root, 99, USER, 0)]).toEqual([
    -abi.ESRCH,
    -abi.EINVAL,
    -abi.EINVAL,
  ]);
  expect(root.call("quotactl", command(GET, USER), "/tmp", 0, 0)).toBe(-abi.ENOTBLK);
  expect(root.call("quotactl", command(GET, USER), "/tmp/other", 0, 0)).toBe(-abi.ENODEV);
  expect(root.call("quotactl", command(GET, USER), "/none", 0, 0)).toBe(-abi.ENOENT);
  const fd = root.open("/mnt", abi.O_RDONLY);
  expect(root.call("quotactl_fd", fd, command(GET, USER), 0, root.room(72))).toBe(0);
  expect(root.call("quotactl_fd", root.open("/tmp", abi.O_RDONLY), command(GET, USER), 0, root.room(72))).toBe(
    -abi.ENOSYS,
  );
  expect(root.call("quotactl_fd", 99, command(GET, USER), 0, 0)).toBe(-abi.EBADF);
});
