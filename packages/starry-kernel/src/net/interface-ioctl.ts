/**
 * ioctl(2) about network interfaces (netdevice(7)). There is one: the loopback.
 */
import {
  AF_INET,
  EADDRNOTAVAIL,
  EFAULT,
  ENODEV,
  ENOTTY,
  EOPNOTSUPP,
  EPERM,
  CAP_NET_ADMIN,
  SIOCGIFADDR,
  SIOCGIFBRDADDR,
  SIOCGIFCONF,
  SIOCGIFDSTADDR,
  SIOCGIFFLAGS,
  SIOCGIFHWADDR,
  SIOCGIFINDEX,
  SIOCGIFMAP,
  SIOCGIFMETRIC,
  SIOCGIFMTU,
  SIOCGIFNAME,
  SIOCGIFNETMASK,
  SIOCGIFTXQLEN,
  SIOCSIFADDR,
  SIOCSIFBRDADDR,
  SIOCSIFFLAGS,
  SIOCSIFMTU,
  SIOCSIFNETMASK,
} from "linux-abi";
import type { Task } from "../task/task.ts";
import { ARPHRD_LOOPBACK, LOOPBACK } from "./loopback.ts";

// struct ifreq: name[16], then a union
const IFREQ_SIZE = 40;
const IFR_UNION = 16;
const IFNAMSIZ = 16;
// struct ifconf: int length, pointer
const IFCONF_BUFFER = 8;

type Fill = (view: DataView) => void;

/** What each question about `lo` is answered with: the union of struct ifreq. */
const ANSWERS: ReadonlyMap<number, Fill> = new Map<number, Fill>([
  [SIOCGIFFLAGS, (view) => view.setUint16(IFR_UNION, LOOPBACK.flags, true)],
  [SIOCGIFADDR, (view) => putAddress(view, LOOPBACK.address)],
  [SIOCGIFDSTADDR, (view) => putAddress(view, LOOPBACK.address)],
  [SIOCGIFBRDADDR, (view) => putAddress(view, 0)],
  [SIOCGIFNETMASK, (view) => putAddress(view, LOOPBACK.netmask)],
  [SIOCGIFMETRIC, (view) => view.setInt32(IFR_UNION, 0, true)],
  [SIOCGIFMTU, (view) => view.setInt32(IFR_UNION, LOOPBACK.mtu, true)],
  [SIOCGIFHWADDR, (view) => view.setUint16(IFR_UNION, ARPHRD_LOOPBACK, true)],
  [SIOCGIFINDEX, (view) => view.setInt32(IFR_UNION, LOOPBACK.index, true)],
  [SIOCGIFTXQLEN, (view) => view.setInt32(IFR_UNION, LOOPBACK.queueLength, true)],
  [SIOCGIFMAP, () => {}],
]);

const CHANGES = new Set([SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFBRDADDR, SIOCSIFMTU]);

export function interfaceIoctl(task: Task, request: number, argument: number): number {
  const { memory } = task;
  if (request === SIOCGIFCONF) return listInterfaces(task, argument);
  const fill = ANSWERS.get(request);
  if (fill === undefined && request !== SIOCGIFNAME && !CHANGES.has(request)) return -ENOTTY;
  const error = memory.load(argument, IFREQ_SIZE);
  if (error !== 0) return error;
  if (request === SIOCGIFNAME) {
    if (memory.scratch.getInt32(IFR_UNION, true) !== LOOPBACK.index) return -ENODEV;
    putName(memory.scratchBytes);
    return memory.store(argument, IFREQ_SIZE);
  }
  const name = nameIn(memory.scratchBytes);
  if (name !== LOOPBACK.name) return -ENODEV;
  if (fill === undefined) return task.cred.hasCapability(CAP_NET_ADMIN) ? changeLoopback(request) : -EPERM;
  memory.scratchBytes.fill(0, IFR_UNION, IFREQ_SIZE);
  fill(memory.scratch);
  return memory.store(argument, IFREQ_SIZE);
}

/** Bringing `lo` up changes nothing; it has the address it needs. */
function changeLoopback(request: number): number {
  if (request === SIOCSIFFLAGS) return 0;
  return request === SIOCSIFADDR || request === SIOCSIFNETMASK ? -EADDRNOTAVAIL : -EOPNOTSUPP;
}

function nameIn(bytes: Uint8Array): string {
  let name = "";
  for (let i = 0; i < IFNAMSIZ && bytes[i] !== 0; i++) name += String.fromCharCode(bytes[i] as number);
  return name;
}

function putName(bytes: Uint8Array): void {
  bytes.fill(0, 0, IFNAMSIZ);
  for (let i = 0; i < LOOPBACK.name.length; i++) bytes[i] = LOOPBACK.name.charCodeAt(i);
}

function putAddress(view: DataView, address: number): void {
  view.setUint16(IFR_UNION, AF_INET, true);
  view.setUint32(IFR_UNION + 4, address, false);
}

function listInterfaces(task: Task, va: number): number {
  const { memory } = task;
  const room = memory.readU32(va);
  const buffer = memory.readU64(va + IFCONF_BUFFER);
  if (room < 0 || buffer < 0) return -EFAULT;
  if (buffer !== 0 && room >= IFREQ_SIZE) {
    memory.scratchBytes.fill(0, 0, IFREQ_SIZE);
    putName(memory.scratchBytes);
    putAddress(memory.scratch, LOOPBACK.address);
    const error = memory.store(buffer, IFREQ_SIZE);
    if (error !== 0) return error;
  }
  return memory.writeU32(va, buffer === 0 || room >= IFREQ_SIZE ? IFREQ_SIZE : 0);
}
