/** /proc/net: sockets and the loopback, as netstat, ss and ifconfig read them (proc_pid_net(5)). */
import { AF_INET, AF_INET6 } from "linux-abi";
import type { Kernel } from "../kernel.ts";
import type { Inet } from "./inet/family.ts";
import { LOOPBACK } from "./loopback.ts";
import type { UnixFamily } from "./unix/family.ts";

const DEV_TITLE = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
`;
const ROUTE_TITLE = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";

function deviceText(): string {
  const zeros =
    "       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0";
  return `${DEV_TITLE}${LOOPBACK.name.padStart(6)}: ${zeros}\n`;
}

function countOf(sockets: Iterable<{ readonly family: number }>, family: number): number {
  let count = 0;
  for (const socket of sockets) if (socket.family === family) count++;
  return count;
}

function sockstat(inet: Inet, unix: UnixFamily): string {
  const [tcp, udp] = [countOf(inet.tcp.sockets, AF_INET), countOf(inet.udp.sockets, AF_INET)];
  const used = inet.tcp.sockets.size + inet.udp.sockets.size + unix.names.all.size;
  return (
    `sockets: used ${used}\nTCP: inuse ${tcp} orphan 0 tw 0 alloc ${inet.tcp.sockets.size} mem 0\n` +
    `UDP: inuse ${udp} mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n`
  );
}

function sockstat6(inet: Inet): string {
  const [tcp, udp] = [countOf(inet.tcp.sockets, AF_INET6), countOf(inet.udp.sockets, AF_INET6)];
  return `TCP6: inuse ${tcp}\nUDP6: inuse ${udp}\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n`;
}

/** Counters that nobody counts here. */
const SNMP = Object.entries({
  Ip: "Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes",
  Icmp: "InMsgs InErrors InCsumErrors OutMsgs OutErrors",
  Tcp: "RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors",
  Udp: "InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors",
})
  .map(([name, fields]) => `${name}: ${fields}\n${name}:${" 0".repeat(fields.split(" ").length)}\n`)
  .join("");

/** Adds the files; without /proc mounted there is nothing to add to. */
export function installProcNet(kernel: Kernel, inet: Inet, unix: UnixFamily): void {
  const fs = kernel.fs as Kernel["fs"] | undefined;
  if (fs === undefined) return;
  fs.addProcNet("tcp", () => inet.tcpText(AF_INET));
  fs.addProcNet("tcp6", () => inet.tcpText(AF_INET6));
  fs.addProcNet("udp", () => inet.udpText(AF_INET));
  fs.addProcNet("udp6", () => inet.udpText(AF_INET6));
  fs.addProcNet("unix", () => unix.text());
  fs.addProcNet("sockstat", () => sockstat(inet, unix));
  fs.addProcNet("sockstat6", () => sockstat6(inet));
  fs.addProcNet("snmp", () => SNMP);
  fs.addProcNet("dev", deviceText);
  fs.addProcNet("route", () => `${ROUTE_TITLE.padEnd(127)}\n`);
  fs.addProcNet("if_inet6", () => "00000000000000000000000000000001 01 80 10 80       lo\n");
}
