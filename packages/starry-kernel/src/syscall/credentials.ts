/**
 * Who a task is: user and group ids, capabilities (credentials(7), capabilities(7)).
 */
import {
  _LINUX_CAPABILITY_VERSION_1,
  _LINUX_CAPABILITY_VERSION_2,
  _LINUX_CAPABILITY_VERSION_3,
  CAP_CHOWN,
  CAP_DAC_OVERRIDE,
  CAP_DAC_READ_SEARCH,
  CAP_FOWNER,
  CAP_FSETID,
  CAP_LINUX_IMMUTABLE,
  CAP_MAC_OVERRIDE,
  CAP_MKNOD,
  CAP_SETGID,
  CAP_SETPCAP,
  CAP_SETUID,
  EFAULT,
  EINVAL,
  EPERM,
  ESRCH,
  SYS_capget,
  SYS_capset,
  SYS_getegid,
  SYS_geteuid,
  SYS_getgid,
  SYS_getgroups,
  SYS_getresgid,
  SYS_getresuid,
  SYS_getuid,
  SYS_setfsgid,
  SYS_setfsuid,
  SYS_setgid,
  SYS_setgroups,
  SYS_setregid,
  SYS_setresgid,
  SYS_setresuid,
  SYS_setreuid,
  SYS_setuid,
} from "linux-abi";
import { type CapabilitySet, type Credentials, NO_CAPABILITIES } from "../task/credentials.ts";
import type { Task } from "../task/task.ts";
import { full, row, type SyscallRow } from "./row.ts";

/** NGROUPS_MAX */
const MAX_GROUPS = 65536;
/** (uid_t) −1: leave as it is. */
const UNCHANGED = 0xffffffff;
const SECBIT_NO_SETUID_FIXUP = 4;

/** The ids of `changes` with the capability changes that go with them (capabilities(7), "Effect of user ID changes"). */
function changeUids(task: Task, changes: { uid?: number; euid?: number; suid?: number }): void {
  const old = task.cred;
  let next = old.with({ ...changes, fsuid: changes.euid ?? old.euid });
  if ((old.secureBits & SECBIT_NO_SETUID_FIXUP) === 0) {
    const hadRoot = old.uid === 0 || old.euid === 0 || old.suid === 0;
    const hasRoot = next.uid === 0 || next.euid === 0 || next.suid === 0;
    if (hadRoot && !hasRoot && !task.keepCapabilities) {
      next = next.with({ permitted: NO_CAPABILITIES, effective: NO_CAPABILITIES, ambient: NO_CAPABILITIES });
    }
    if (old.euid === 0 && next.euid !== 0) next = next.with({ effective: NO_CAPABILITIES });
    if (old.euid !== 0 && next.euid === 0) next = next.with({ effective: next.permitted });
  }
  if (next.euid !== old.euid || next.fsuid !== old.fsuid) task.process.dumpable = 0;
  task.cred = next;
}

function changeGids(task: Task, changes: { gid?: number; egid?: number; sgid?: number }): void {
  const old = task.cred;
  task.cred = old.with({ ...changes, fsgid: changes.egid ?? old.egid });
  if (task.cred.egid !== old.egid) task.process.dumpable = 0;
}

/** setuid(2) */
function sys_setuid(task: Task, uid: number): number {
  if (uid === UNCHANGED) return -EINVAL;
  const { cred } = task;
  if (cred.hasCapability(CAP_SETUID)) changeUids(task, { uid, euid: uid, suid: uid });
  else if (uid === cred.uid || uid === cred.suid) changeUids(task, { euid: uid });
  else return -EPERM;
  return 0;
}

/** setgid(2) */
function sys_setgid(task: Task, gid: number): number {
  if (gid === UNCHANGED) return -EINVAL;
  const { cred } = task;
  if (cred.hasCapability(CAP_SETGID)) changeGids(task, { gid, egid: gid, sgid: gid });
  else if (gid === cred.gid || gid === cred.sgid) changeGids(task, { egid: gid });
  else return -EPERM;
  return 0;
}

/** setreuid(2) */
function sys_setreuid(task: Task, ruid: number, euid: number): number {
  const { cred } = task;
  const may = cred.hasCapability(CAP_SETUID);
  const uid = ruid === UNCHANGED ? cred.uid : ruid;
  const effective = euid === UNCHANGED ? cred.euid : euid;
  if (!may && uid !== cred.uid && uid !== cred.euid) return -EPERM;
  if (!may && ![cred.uid, cred.euid, cred.suid].includes(effective)) return -EPERM;
  const saved = ruid !== UNCHANGED || (euid !== UNCHANGED && effective !== cred.uid) ? effective : cred.suid;
  changeUids(task, { uid, euid: effective, suid: saved });
  return 0;
}

/** setregid(2) */
function sys_setregid(task: Task, rgid: number, egid: number): number {
  const { cred } = task;
  const may = cred.hasCapability(CAP_SETGID);
  const gid = rgid === UNCHANGED ? cred.gid : rgid;
  const effective = egid === UNCHANGED ? cred.egid : egid;
  if (!may && gid !== cred.gid && gid !== cred.egid) return -EPERM;
  if (!may && ![cred.gid, cred.egid, cred.sgid].includes(effective)) return -EPERM;
  const saved = rgid !== UNCHANGED || (egid !== UNCHANGED && effective !== cred.gid) ? effective : cred.sgid;
  changeGids(task, { gid, egid: effective, sgid: saved });
  return 0;
}

/** setresuid(2) */
function sys_setresuid(task: Task, ruid: number, euid: number, suid: number): number {
  const { cred } = task;
  const own = [cred.uid, cred.euid, cred.suid];
  if (!cred.hasCapability(CAP_SETUID) && [ruid, euid, suid].some((id) => id !== UNCHANGED && !own.includes(id)))
    return -EPERM;
  const pick = (wanted: number, old: number): number => (wanted === UNCHANGED ? old : wanted);
  changeUids(task, { uid: pick(ruid, cred.uid), euid: pick(euid, cred.euid), suid: pick(suid, cred.suid) });
  return 0;
}

/** setresgid(2) */
function sys_setresgid(task: Task, rgid: number, egid: number, sgid: number): number {
  const { cred } = task;
  const own = [cred.gid, cred.egid, cred.sgid];
  if (!cred.hasCapability(CAP_SETGID) && [rgid, egid, sgid].some((id) => id !== UNCHANGED && !own.includes(id)))
    return -EPERM;
  const pick = (wanted: number, old: number): number => (wanted === UNCHANGED ? old : wanted);
  changeGids(task, { gid: pick(rgid, cred.gid), egid: pick(egid, cred.egid), sgid: pick(sgid, cred.sgid) });
  return 0;
}

function writeThree(task: Task, addresses: readonly number[], values: readonly number[]): number {
  for (let i = 0; i < 3; i++)
    if (task.memory.writeU32(addresses[i] as number, values[i] as number) !== 0) return -EFAULT;
  return 0;
}

/** Capabilities that concern files: gained and lost with fsuid 0. */
const FILE_CAPABILITIES = [
  CAP_CHOWN,
  CAP_DAC_OVERRIDE,
  CAP_DAC_READ_SEARCH,
  CAP_FOWNER,
  CAP_FSETID,
  CAP_LINUX_IMMUTABLE,
  CAP_MKNOD,
  CAP_MAC_OVERRIDE,
];
const FILE_LO = FILE_CAPABILITIES.filter((c) => c < 32).reduce((bits, c) => bits | (1 << c), 0);
const FILE_HI = FILE_CAPABILITIES.filter((c) => c >= 32).reduce((bits, c) => bits | (1 << (c - 32)), 0);

/** setfsuid(2): returns the old one, whatever happened. */
function sys_setfsuid(task: Task, fsuid: number): number {
  const { cred } = task;
  const own = [cred.uid, cred.euid, cred.suid, cred.fsuid];
  if (fsuid === UNCHANGED || (!own.includes(fsuid) && !cred.hasCapability(CAP_SETUID))) return cred.fsuid;
  let { effective } = cred;
  if (cred.fsuid === 0 && fsuid !== 0) effective = { lo: effective.lo & ~FILE_LO, hi: effective.hi & ~FILE_HI };
  if (cred.fsuid !== 0 && fsuid === 0) {
    effective = { lo: effective.lo | (cred.permitted.lo & FILE_LO), hi: effective.hi | (cred.permitted.hi & FILE_HI) };
  }
  task.cred = cred.with({ fsuid, effective });
  return cred.fsuid;
}

/** setfsgid(2) */
function sys_setfsgid(task: Task, fsgid: number): number {
  const { cred } = task;
  const own = [cred.gid, cred.egid, cred.sgid, cred.fsgid];
  if (fsgid !== UNCHANGED && (own.includes(fsgid) || cred.hasCapability(CAP_SETGID))) task.cred = cred.with({ fsgid });
  return cred.fsgid;
}

/** getgroups(2) */
function sys_getgroups(task: Task, size: number, address: number): number {
  const { groups } = task.cred;
  if (size < 0) return -EINVAL;
  if (size === 0) return groups.length;
  if (size < groups.length) return -EINVAL;
  for (const [i, gid] of groups.entries()) if (task.memory.writeU32(address + 4 * i, gid) !== 0) return -EFAULT;
  return groups.length;
}

/** setgroups(2) */
function sys_setgroups(task: Task, size: number, address: number): number {
  if (!task.cred.hasCapability(CAP_SETGID)) return -EPERM;
  if (size < 0 || size > MAX_GROUPS) return -EINVAL;
  const groups: number[] = [];
  for (let i = 0; i < size; i++) {
    const gid = task.memory.readU32(address + 4 * i);
    if (gid < 0) return -EFAULT;
    groups.push(gid);
  }
  task.cred = task.cred.with({ groups: groups.sort((a, b) => a - b) });
  return 0;
}

/** Words per set in struct __user_cap_data_struct of a header version; 0: unknown version. */
function capabilityWords(version: number): number {
  if (version === _LINUX_CAPABILITY_VERSION_1) return 1;
  return version === _LINUX_CAPABILITY_VERSION_2 || version === _LINUX_CAPABILITY_VERSION_3 ? 2 : 0;
}

/** Reads the header; an unknown version is answered with ours (-EINVAL). */
function capabilityHeader(task: Task, address: number): { words: number; pid: number } | number {
  const version = task.memory.readU32(address);
  const pid = task.memory.readU32(address + 4);
  if (version < 0 || pid < 0) return -EFAULT;
  const words = capabilityWords(version);
  if (words === 0) {
    return task.memory.writeU32(address, _LINUX_CAPABILITY_VERSION_3) !== 0 ? -EFAULT : -EINVAL;
  }
  return { words, pid: pid | 0 };
}

/** capget(2) */
function sys_capget(task: Task, headerAddress: number, dataAddress: number): number {
  const header = capabilityHeader(task, headerAddress);
  // glibc and libcap probe the version with no data: not an error then.
  if (typeof header === "number") return header === -EINVAL && dataAddress === 0 ? 0 : header;
  if (header.pid < 0) return -EINVAL;
  const target = header.pid === 0 ? task : task.kernel.tasks.task(header.pid);
  if (target === undefined) return -ESRCH;
  if (dataAddress === 0) return 0;
  const { effective, permitted, inheritable } = target.cred;
  const view = task.memory.scratch;
  for (let word = 0; word < header.words; word++) {
    const half = (set: CapabilitySet): number => (word === 0 ? set.lo : set.hi);
    view.setInt32(12 * word, half(effective), true);
    view.setInt32(12 * word + 4, half(permitted), true);
    view.setInt32(12 * word + 8, half(inheritable), true);
  }
  return task.memory.store(dataAddress, 12 * header.words);
}

function isSubset(small: CapabilitySet, big: CapabilitySet): boolean {
  return (small.lo & ~big.lo) === 0 && (small.hi & ~big.hi) === 0;
}

function union(a: CapabilitySet, b: CapabilitySet): CapabilitySet {
  return { lo: a.lo | b.lo, hi: a.hi | b.hi };
}

function intersection(a: CapabilitySet, b: CapabilitySet): CapabilitySet {
  return { lo: a.lo & b.lo, hi: a.hi & b.hi };
}

/** capset(2) */
function sys_capset(task: Task, headerAddress: number, dataAddress: number): number {
  const header = capabilityHeader(task, headerAddress);
  if (typeof header === "number") return header;
  if (header.pid !== 0 && header.pid !== task.tid) return -EPERM;
  if (task.memory.load(dataAddress, 12 * header.words) !== 0) return -EFAULT;
  const view = task.memory.scratch;
  const read = (field: number): CapabilitySet => ({
    lo: view.getInt32(4 * field, true),
    hi: header.words === 2 ? view.getInt32(12 + 4 * field, true) : 0,
  });
  const known = { lo: -1, hi: 0x1ff };
  const effective = intersection(read(0), known);
  const permitted = intersection(read(1), known);
  const inheritable = intersection(read(2), known);
  const old: Credentials = task.cred;
  if (!old.hasCapability(CAP_SETPCAP) && !isSubset(inheritable, union(old.inheritable, old.permitted))) return -EPERM;
  if (!isSubset(inheritable, union(old.inheritable, old.bounding))) return -EPERM;
  if (!isSubset(permitted, old.permitted) || !isSubset(effective, permitted)) return -EPERM;
  const ambient = intersection(old.ambient, intersection(permitted, inheritable));
  task.cred = old.with({ effective, permitted, inheritable, ambient });
  return 0;
}

export const CREDENTIAL_CALLS: readonly SyscallRow[] = [
  row(SYS_getuid, "getuid", "", full, (task) => task.cred.uid),
  row(SYS_geteuid, "geteuid", "", full, (task) => task.cred.euid),
  row(SYS_getgid, "getgid", "", full, (task) => task.cred.gid),
  row(SYS_getegid, "getegid", "", full, (task) => task.cred.egid),
  row(SYS_setuid, "setuid", "uid:uid", full, sys_setuid),
  row(SYS_setgid, "setgid", "gid:gid", full, sys_setgid),
  row(SYS_setreuid, "setreuid", "ruid:uid euid:uid", full, sys_setreuid),
  row(SYS_setregid, "setregid", "rgid:gid egid:gid", full, sys_setregid),
  row(SYS_setresuid, "setresuid", "ruid:uid euid:uid suid:uid", full, sys_setresuid),
  row(SYS_setresgid, "setresgid", "rgid:gid egid:gid sgid:gid", full, sys_setresgid),
  row(SYS_getresuid, "getresuid", "ruid:ptr euid:ptr suid:ptr", full, (task, r, e, s) =>
    writeThree(task, [r, e, s], [task.cred.uid, task.cred.euid, task.cred.suid]),
  ),
  row(SYS_getresgid, "getresgid", "rgid:ptr egid:ptr sgid:ptr", full, (task, r, e, s) =>
    writeThree(task, [r, e, s], [task.cred.gid, task.cred.egid, task.cred.sgid]),
  ),
  row(SYS_setfsuid, "setfsuid", "uid:uid", full, sys_setfsuid),
  row(SYS_setfsgid, "setfsgid", "gid:gid", full, sys_setfsgid),
  row(SYS_getgroups, "getgroups", "size:int list:ptr", full, sys_getgroups),
  row(SYS_setgroups, "setgroups", "size:int list:ptr", full, sys_setgroups),
  row(SYS_capget, "capget", "header:ptr data:ptr", full, sys_capget),
  row(SYS_capset, "capset", "header:ptr data:ptr", full, sys_capset),
];
