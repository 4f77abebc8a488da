/**
 * prctl(2). Unknown operations are EINVAL, which is what programs probe for.
 */
import {
  CAP_LAST_CAP,
  CAP_SETPCAP,
  decodeName,
  EFAULT,
  EINVAL,
  encodeName,
  EPERM,
  NSIG,
  PR_CAP_AMBIENT,
  PR_CAP_AMBIENT_CLEAR_ALL,
  PR_CAP_AMBIENT_IS_SET,
  PR_CAP_AMBIENT_LOWER,
  PR_CAP_AMBIENT_RAISE,
  PR_CAPBSET_DROP,
  PR_CAPBSET_READ,
  PR_GET_CHILD_SUBREAPER,
  PR_GET_DUMPABLE,
  PR_GET_KEEPCAPS,
  PR_GET_NAME,
  PR_GET_NO_NEW_PRIVS,
  PR_GET_PDEATHSIG,
  PR_GET_SECCOMP,
  PR_GET_SECUREBITS,
  PR_GET_THP_DISABLE,
  PR_GET_TID_ADDRESS,
  PR_GET_TIMERSLACK,
  PR_GET_TIMING,
  PR_SET_CHILD_SUBREAPER,
  PR_SET_DUMPABLE,
  PR_SET_KEEPCAPS,
  PR_SET_NAME,
  PR_SET_NO_NEW_PRIVS,
  PR_SET_PDEATHSIG,
  PR_SET_SECUREBITS,
  PR_SET_THP_DISABLE,
  PR_SET_TIMERSLACK,
  PR_SET_TIMING,
  PR_SET_VMA,
  PR_SET_VMA_ANON_NAME,
  SYS_prctl,
} from "linux-abi";
import { type CapabilitySet, hasCapability, NO_CAPABILITIES } from "../task/credentials.ts";
import type { Task } from "../task/task.ts";
import { nameAnonymousMemory } from "./memory.ts";
import { partial, row, type SyscallRow } from "./row.ts";

const COMM_BYTES = 16;
const DEFAULT_SLACK_NS = 50_000;

function setBit(set: CapabilitySet, capability: number, on: boolean): CapabilitySet {
  const bit = 1 << (capability & 31);
  const change = (word: number): number => (on ? word | bit : word & ~bit);
  return capability < 32 ? { lo: change(set.lo), hi: set.hi } : { lo: set.lo, hi: change(set.hi) };
}

function isCapability(capability: number): boolean {
  return capability >= 0 && capability <= CAP_LAST_CAP;
}

/** prctl(2) */
function sys_prctl(task: Task, op: number, a: number, b: number, c: number, d: number): number {
  const { process, memory } = task;
  switch (op) {
    case PR_SET_NAME:
      return setName(task, a);
    case PR_GET_NAME: {
      const name = new Uint8Array(COMM_BYTES);
      name.set(encodeName(task.comm));
      return memory.copyOut(a, name, 0, COMM_BYTES);
    }
    case PR_SET_PDEATHSIG:
      if (a > NSIG) return -EINVAL;
      task.parentDeathSignal = a;
      return 0;
    case PR_GET_PDEATHSIG:
      return memory.writeU32(a, task.parentDeathSignal);
    case PR_SET_DUMPABLE:
      if (a > 1) return -EINVAL;
      process.dumpable = a;
      return 0;
    case PR_GET_DUMPABLE:
      return process.dumpable;
    case PR_SET_KEEPCAPS:
      if (a > 1) return -EINVAL;
      task.keepCapabilities = a === 1;
      return 0;
    case PR_GET_KEEPCAPS:
      return task.keepCapabilities ? 1 : 0;
    case PR_SET_CHILD_SUBREAPER:
      process.subreaper = a !== 0;
      return 0;
    case PR_GET_CHILD_SUBREAPER:
      return memory.writeU32(a, process.subreaper ? 1 : 0);
    case PR_SET_NO_NEW_PRIVS:
      if (a !== 1 || b !== 0 || c !== 0 || d !== 0) return -EINVAL;
      task.noNewPrivileges = true;
      return 0;
    case PR_GET_NO_NEW_PRIVS:
      return a !== 0 || b !== 0 || c !== 0 || d !== 0 ? -EINVAL : task.noNewPrivileges ? 1 : 0;
    case PR_GET_TID_ADDRESS:
      return memory.writeI64(a, task.clearChildTid);
    case PR_SET_TIMERSLACK:
      task.timerSlackNs = a === 0 ? DEFAULT_SLACK_NS : a;
      return 0;
    case PR_GET_TIMERSLACK:
      return task.timerSlackNs;
    case PR_SET_THP_DISABLE:
      return b !== 0 || c !== 0 || d !== 0 ? -EINVAL : 0; // there are no huge pages
    case PR_GET_THP_DISABLE:
      return 0;
    case PR_SET_TIMING:
      return a === 0 ? 0 : -EINVAL;
    case PR_GET_TIMING:
    case PR_GET_SECCOMP:
      return 0;
    case PR_SET_VMA:
      return a === PR_SET_VMA_ANON_NAME ? nameAnonymousMemory(task, b, c, d) : -EINVAL;
    default:
      return capabilityControl(task, op, a, b, c, d);
  }
}

function setName(task: Task, address: number): number {
  const bytes = new Uint8Array(COMM_BYTES);
  for (let i = 0; i < COMM_BYTES - 1; i++) {
    const byte = task.memory.readU8(address + i);
    if (byte < 0) return -EFAULT;
    if (byte === 0) break;
    bytes[i] = byte;
  }
  task.comm = decodeName(bytes.subarray(0, bytes.indexOf(0)));
  return 0;
}

function capabilityControl(task: Task, op: number, a: number, b: number, c: number, d: number): number {
  const { cred } = task;
  switch (op) {
    case PR_CAPBSET_READ:
      return isCapability(a) ? Number(hasCapability(cred.bounding, a)) : -EINVAL;
    case PR_CAPBSET_DROP:
      if (!isCapability(a)) return -EINVAL;
      if (!cred.hasCapability(CAP_SETPCAP)) return -EPERM;
      task.cred = cred.with({ bounding: setBit(cred.bounding, a, false) });
      return 0;
    case PR_GET_SECUREBITS:
      return cred.secureBits;
    case PR_SET_SECUREBITS:
      if (!cred.hasCapability(CAP_SETPCAP)) return -EPERM;
      task.cred = cred.with({ secureBits: a });
      return 0;
    case PR_CAP_AMBIENT:
      return ambientControl(task, a, b, c, d);
    default:
      return -EINVAL;
  }
}

function ambientControl(task: Task, action: number, capability: number, c: number, d: number): number {
  const { cred } = task;
  if (action === PR_CAP_AMBIENT_CLEAR_ALL) {
    if (capability !== 0 || c !== 0 || d !== 0) return -EINVAL;
    task.cred = cred.with({ ambient: NO_CAPABILITIES });
    return 0;
  }
  if (!isCapability(capability) || c !== 0 || d !== 0) return -EINVAL;
  switch (action) {
    case PR_CAP_AMBIENT_IS_SET:
      return Number(hasCapability(cred.ambient, capability));
    case PR_CAP_AMBIENT_RAISE:
      if (!hasCapability(cred.permitted, capability) || !hasCapability(cred.inheritable, capability)) return -EPERM;
      task.cred = cred.with({ ambient: setBit(cred.ambient, capability, true) });
      return 0;
    case PR_CAP_AMBIENT_LOWER:
      task.cred = cred.with({ ambient: setBit(cred.ambient, capability, false) });
      return 0;
    default:
      return -EINVAL;
  }
}

export const PRCTL_CALLS: readonly SyscallRow[] = [
  row(
    SYS_prctl,
    "prctl",
    "op:prctl_op arg2:ulong arg3:ulong arg4:ulong arg5:ulong",
    partial("no seccomp, no speculation control"),
    sys_prctl,
  ),
];
