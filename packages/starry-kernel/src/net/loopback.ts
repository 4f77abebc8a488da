/** The one network interface: lo, 127.0.0.1/8 and ::1/128. */

// net/if.h IFF_*
const IFF_UP = 1 << 0;
const IFF_LOOPBACK = 1 << 3;
const IFF_RUNNING = 1 << 6;
const IFF_LOWER_UP = 1 << 16;

/** linux/if_arp.h */
export const ARPHRD_LOOPBACK = 772;

export interface NetworkInterface {
  readonly name: string;
  readonly index: number;
  /** IFF_* as ioctl shows them. */
  readonly flags: number;
  /** IFF_* as netlink shows them. */
  readonly linkFlags: number;
  /** IPv4, most significant byte first. */
  readonly address: number;
  readonly prefixLength: number;
  readonly netmask: number;
  readonly mtu: number;
  readonly queueLength: number;
}

export const LOOPBACK: NetworkInterface = {
  name: "lo",
  index: 1,
  flags: IFF_UP | IFF_LOOPBACK | IFF_RUNNING,
  linkFlags: IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_LOWER_UP,
  address: 0x7f00_0001,
  prefixLength: 8,
  netmask: 0xff00_0000,
  mtu: 65536,
  queueLength: 1000,
};
