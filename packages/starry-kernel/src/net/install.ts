/**
 * Sockets for a kernel: AF_UNIX, AF_INET and AF_INET6 on the loopback, AF_NETLINK.
 *
 * A kernel without this call answers ENOSYS to socket calls.
 */
import { AF_INET, AF_INET6 } from "linux-abi";
import type { Kernel } from "../kernel.ts";
import { MESSAGE_CALLS } from "../syscall/net/messages.ts";
import { SOCKET_OPTION_CALLS } from "../syscall/net/options.ts";
import { SOCKET_CALLS } from "../syscall/net/socket.ts";
import { Inet, InetFamily } from "./inet/family.ts";
import { NetlinkFamily } from "./netlink/netlink-socket.ts";
import { installProcNet } from "./proc-net.ts";
import { UnixFamily } from "./unix/family.ts";

export function installSockets(kernel: Kernel): void {
  for (const calls of [SOCKET_CALLS, MESSAGE_CALLS, SOCKET_OPTION_CALLS]) kernel.addSyscalls(calls);
  const inet = new Inet();
  const unix = new UnixFamily();
  const families = [
    unix,
    new InetFamily(inet, AF_INET),
    new InetFamily(inet, AF_INET6),
    new NetlinkFamily({ inet, unix }),
  ];
  for (const family of families) kernel.socketFamilies.set(family.family, family);
  installProcNet(kernel, inet, unix);
}
