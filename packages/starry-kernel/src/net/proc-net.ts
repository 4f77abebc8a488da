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

/** Adds the files; without /proc mounted there is nothing to add to. */
export function installProcNet(kernel: Kernel, inet: Inet, unix: UnixFamily): void {
  const fs = kernel.fs as Kernel["fs"] | undefined;
  if (fs === undefined) return;
  fs.addProcNet("tcp", () => inet.tcpText(AF_INET));
  fs.addProcNet("tcp6", () => inet.tcpText(AF_INET6));
  fs.addProcNet("udp", () => inet.udpText(AF_INET));
  fs.addProcNet("udp6", () => inet.udpText(AF_INET6));
  fs.addProcNet("unix", () => unix.text());
  fs.addProcNet("dev", deviceText);
  fs.addProcNet("route", () => `${ROUTE_TITLE.padEnd(127)}\n`);
  fs.addProcNet("if_inet6", () => "00000000000000000000000000000001 01 80 10 80       lo\n");
}
