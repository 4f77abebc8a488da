/**
 * rtnetlink(7) for a machine whose only interface is the loopback: what `ip addr`, `ip link`, `ip route` and getifaddrs(3) ask.
 *
 * Changes are refused (EOPNOTSUPP); bringing `lo` up (RTM_NEWLINK) succeeds because it is up.
 */
import { AF_INET, AF_INET6, AF_UNSPEC, EINVAL, ENETUNREACH, ENODEV, EOPNOTSUPP } from "linux-abi";
import { ARPHRD_LOOPBACK, LOOPBACK } from "../loopback.ts";
import {
  FIB_RULE_ACTION,
  FIB_RULE_SIZE,
  FIB_RULE_TABLE,
  FR_ACT_TO_TBL,
  FRA_PRIORITY,
  FRA_TABLE,
  IFA_ADDRESS,
  IFA_CACHEINFO,
  IFA_F_PERMANENT,
  IFA_FAMILY_OFFSET,
  IFA_FLAGS,
  IFA_FLAGS_OFFSET,
  IFA_INDEX,
  IFA_LABEL,
  IFA_LOCAL,
  IFA_PREFIXLEN,
  IFA_SCOPE,
  IFA_SIZE,
  IFI_FLAGS,
  IFI_INDEX,
  IFI_SIZE,
  IFI_TYPE,
  IFLA_ADDRESS,
  IFLA_BROADCAST,
  IFLA_GROUP,
  IFLA_IFNAME,
  IFLA_LINKMODE,
  IFLA_MTU,
  IFLA_OPERSTATE,
  IFLA_QDISC,
  IFLA_STATS,
  IFLA_STATS64,
  IFLA_TXQLEN,
  NLM_F_DUMP,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HEADER,
  RT_SCOPE_HOST,
  RT_TABLE_DEFAULT,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTA_DST,
  RTA_OIF,
  RTA_PREFSRC,
  RTA_TABLE,
  RTA_UID,
  RTCF_LOCAL,
  RTM_F_CLONED,
  RTM_FLAGS_OFFSET,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_GETNEIGH,
  RTM_GETQDISC,
  RTM_GETROUTE,
  RTM_GETRULE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWROUTE,
  RTM_NEWRULE,
  RTM_SIZE,
  RTN_LOCAL,
  RTPROT_KERNEL,
} from "./constants.ts";
import { ip4Bytes, MessageWriter } from "./message-writer.ts";

const STATS_BYTES = 96; // struct rtnl_link_stats: 24 counters of 32 bits
const STATS64_BYTES = 200;
const IP6_LOOPBACK_BYTES = new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
/** Priority and table of the routing rules. */
const RULES: readonly (readonly [number, number])[] = [
  [0, RT_TABLE_LOCAL],
  [32766, RT_TABLE_MAIN],
  [32767, RT_TABLE_DEFAULT],
];
const FOREVER = new Uint8Array(16).fill(0xff, 0, 8); // struct ifa_cacheinfo: valid and preferred for ever

/** A request: header fields and everything behind the header. */
export interface RouteRequest {
  readonly type: number;
  readonly flags: number;
  readonly seq: number;
  readonly body: Uint8Array;
}

/** The answers, in order; a dump ends with NLMSG_DONE. Or an errno for NLMSG_ERROR (0: acknowledged). */
export function answerRoute(request: RouteRequest, pid: number): Uint8Array[] | number {
  const dump = (request.flags & NLM_F_DUMP) === NLM_F_DUMP;
  const family = request.body[0] ?? AF_UNSPEC;
  const flags = dump ? NLM_F_MULTI : 0;
  switch (request.type) {
    case RTM_GETLINK:
      if (!dump && !namesLoopback(request.body)) return -ENODEV;
      return finish([linkMessage(request.seq, pid, flags)], request, pid, dump);
    case RTM_GETADDR:
      return finish(addressMessages(family, request.seq, pid, flags), request, pid, dump);
    case RTM_GETROUTE:
      if (!dump) return routeTo(request, pid);
      return finish(routeMessages(family, request.seq, pid, flags), request, pid, dump);
    case RTM_GETRULE:
      return dump ? finish(ruleMessages(family, request.seq, pid), request, pid, true) : -EOPNOTSUPP;
    case RTM_GETNEIGH:
    case RTM_GETQDISC:
      return dump ? finish([], request, pid, true) : -EOPNOTSUPP;
    case RTM_NEWLINK:
      return namesLoopback(request.body) ? 0 : -EOPNOTSUPP;
    default:
      return -EOPNOTSUPP;
  }
}

function finish(messages: Uint8Array[], request: RouteRequest, pid: number, dump: boolean): Uint8Array[] {
  if (dump) messages.push(new MessageWriter(NLMSG_DONE, NLM_F_MULTI, request.seq, pid, 4).finish());
  return messages;
}

/** An ifinfomsg that means `lo`, by number or by an IFLA_IFNAME attribute. */
function namesLoopback(body: Uint8Array): boolean {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  if (body.length < IFI_SIZE) return false;
  const index = view.getInt32(IFI_INDEX, true);
  if (index !== 0) return index === LOOPBACK.index;
  const name = attributeOf(body, IFI_SIZE, IFLA_IFNAME);
  return name !== undefined && String.fromCharCode(...name).replace(/\0.*$/, "") === LOOPBACK.name;
}

function linkMessage(seq: number, pid: number, flags: number): Uint8Array {
  const writer = new MessageWriter(RTM_NEWLINK, flags, seq, pid, IFI_SIZE);
  writer.view.setUint16(NLMSG_HEADER + IFI_TYPE, ARPHRD_LOOPBACK, true);
  writer.view.setInt32(NLMSG_HEADER + IFI_INDEX, LOOPBACK.index, true);
  writer.view.setUint32(NLMSG_HEADER + IFI_FLAGS, LOOPBACK.linkFlags, true);
  const hardware = new Uint8Array(6);
  return writer
    .text(IFLA_IFNAME, LOOPBACK.name)
    .u32(IFLA_TXQLEN, LOOPBACK.queueLength)
    .u8(IFLA_OPERSTATE, 0)
    .u8(IFLA_LINKMODE, 0)
    .u32(IFLA_MTU, LOOPBACK.mtu)
    .u32(IFLA_GROUP, 0)
    .text(IFLA_QDISC, "noqueue")
    .attribute(IFLA_ADDRESS, hardware)
    .attribute(IFLA_BROADCAST, hardware)
    .attribute(IFLA_STATS64, new Uint8Array(STATS64_BYTES))
    .attribute(IFLA_STATS, new Uint8Array(STATS_BYTES))
    .finish();
}

function addressMessages(family: number, seq: number, pid: number, flags: number): Uint8Array[] {
  const messages: Uint8Array[] = [];
  if (family === AF_UNSPEC || family === AF_INET) {
    const writer = addressHeader(AF_INET, LOOPBACK.prefixLength, seq, pid, flags);
    const address = ip4Bytes(LOOPBACK.address);
    writer.attribute(IFA_ADDRESS, address).attribute(IFA_LOCAL, address).text(IFA_LABEL, LOOPBACK.name);
    messages.push(writer.u32(IFA_FLAGS, IFA_F_PERMANENT).attribute(IFA_CACHEINFO, FOREVER).finish());
  }
  if (family === AF_UNSPEC || family === AF_INET6) {
    const writer = addressHeader(AF_INET6, 128, seq, pid, flags);
    writer.attribute(IFA_ADDRESS, IP6_LOOPBACK_BYTES).attribute(IFA_CACHEINFO, FOREVER);
    messages.push(writer.u32(IFA_FLAGS, IFA_F_PERMANENT).finish());
  }
  return messages;
}

function addressHeader(family: number, prefixLength: number, seq: number, pid: number, flags: number): MessageWriter {
  const writer = new MessageWriter(RTM_NEWADDR, flags, seq, pid, IFA_SIZE);
  writer.view.setUint8(NLMSG_HEADER + IFA_FAMILY_OFFSET, family);
  writer.view.setUint8(NLMSG_HEADER + IFA_PREFIXLEN, prefixLength);
  writer.view.setUint8(NLMSG_HEADER + IFA_FLAGS_OFFSET, IFA_F_PERMANENT);
  writer.view.setUint8(NLMSG_HEADER + IFA_SCOPE, RT_SCOPE_HOST);
  writer.view.setUint32(NLMSG_HEADER + IFA_INDEX, LOOPBACK.index, true);
  return writer;
}

function routeMessages(family: number, seq: number, pid: number, flags: number): Uint8Array[] {
  const messages: Uint8Array[] = [];
  const add = (routeFamily: number, prefixLength: number, destination: Uint8Array, source: Uint8Array | null): void => {
    const writer = new MessageWriter(RTM_NEWROUTE, flags, seq, pid, RTM_SIZE);
    // family, dst_len, src_len, tos, table, protocol, scope, type
    const fields = [routeFamily, prefixLength, 0, 0, RT_TABLE_LOCAL, RTPROT_KERNEL, RT_SCOPE_HOST, RTN_LOCAL];
    for (let i = 0; i < fields.length; i++) writer.view.setUint8(NLMSG_HEADER + i, fields[i] as number);
    writer.u32(RTA_TABLE, RT_TABLE_LOCAL).attribute(RTA_DST, destination);
    if (source !== null) writer.attribute(RTA_PREFSRC, source);
    messages.push(writer.u32(RTA_OIF, LOOPBACK.index).finish());
  };
  const own = ip4Bytes(LOOPBACK.address);
  if (family !== AF_INET6) {
    add(AF_INET, LOOPBACK.prefixLength, ip4Bytes(LOOPBACK.address & LOOPBACK.netmask), own);
    add(AF_INET, 32, own, own);
  }
  if (family !== AF_INET) add(AF_INET6, 128, IP6_LOOPBACK_BYTES, null);
  return messages;
}

/** `ip route get ADDRESS`: everything that can be reached is this machine itself. */
function routeTo(request: RouteRequest, pid: number): Uint8Array[] | number {
  const { body, seq } = request;
  const destination = attributeOf(body, RTM_SIZE, RTA_DST);
  const family = body[0] as number;
  if (destination === undefined) return -EINVAL;
  const isOurs =
    family === AF_INET
      ? destination.length === 4 && destination[0] === 127
      : destination.length === 16 && destination.every((byte, i) => byte === IP6_LOOPBACK_BYTES[i]);
  if (!isOurs) return -ENETUNREACH;
  const writer = new MessageWriter(RTM_NEWROUTE, 0, seq, pid, RTM_SIZE);
  const fields = [family, destination.length * 8, 0, 0, RT_TABLE_LOCAL, 0, 0, RTN_LOCAL];
  for (let i = 0; i < fields.length; i++) writer.view.setUint8(NLMSG_HEADER + i, fields[i] as number);
  writer.view.setUint32(NLMSG_HEADER + RTM_FLAGS_OFFSET, RTM_F_CLONED | RTCF_LOCAL, true);
  const source = family === AF_INET ? ip4Bytes(LOOPBACK.address) : IP6_LOOPBACK_BYTES;
  writer.u32(RTA_TABLE, RT_TABLE_LOCAL).attribute(RTA_DST, destination).u32(RTA_OIF, LOOPBACK.index);
  return [writer.attribute(RTA_PREFSRC, source).u32(RTA_UID, 0).finish()];
}

/** The three rules of every Linux (IPv6: two): local, main, default. */
function ruleMessages(family: number, seq: number, pid: number): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (const each of family === AF_UNSPEC ? [AF_INET, AF_INET6] : [family]) {
    for (const [priority, table] of RULES) {
      if (each === AF_INET6 && table === RT_TABLE_DEFAULT) continue;
      const writer = new MessageWriter(RTM_NEWRULE, NLM_F_MULTI, seq, pid, FIB_RULE_SIZE);
      writer.view.setUint8(NLMSG_HEADER, each);
      writer.view.setUint8(NLMSG_HEADER + FIB_RULE_TABLE, table);
      writer.view.setUint8(NLMSG_HEADER + FIB_RULE_ACTION, FR_ACT_TO_TBL);
      messages.push(writer.u32(FRA_TABLE, table).u32(FRA_PRIORITY, priority).finish());
    }
  }
  return messages;
}

/** Value of the first attribute of `type` behind a structure of `fixedBytes`. */
function attributeOf(body: Uint8Array, fixedBytes: number, type: number): Uint8Array | undefined {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  for (let at = fixedBytes; at + 4 <= body.length; ) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > body.length) return undefined;
    if (view.getUint16(at + 2, true) === type) return body.subarray(at + 4, at + length);
    at += (length + 3) & ~3;
  }
  return undefined;
}

/** NLMSG_ERROR: `error` is 0 (acknowledged) or −errno; the request's header follows. */
export function errorMessage(error: number, header: Uint8Array, seq: number, pid: number): Uint8Array {
  const writer = new MessageWriter(NLMSG_ERROR, 0, seq, pid, 4 + NLMSG_HEADER);
  writer.view.setInt32(NLMSG_HEADER, error, true);
  for (let i = 0; i < NLMSG_HEADER; i++) writer.view.setUint8(NLMSG_HEADER + 4 + i, header[i] ?? 0);
  return writer.finish();
}
