/** Netlink and rtnetlink (linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h). */

export const NETLINK_ROUTE = 0;
export const NETLINK_KOBJECT_UEVENT = 15;

// struct nlmsghdr
export const NLMSG_LENGTH = 0;
export const NLMSG_TYPE = 4;
export const NLMSG_FLAGS = 6;
export const NLMSG_SEQ = 8;
export const NLMSG_PID = 12;
export const NLMSG_HEADER = 16;

export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_MULTI = 0x2;
export const NLM_F_ACK = 0x4;
export const NLM_F_ROOT = 0x100;
export const NLM_F_MATCH = 0x200;
export const NLM_F_DUMP: number = NLM_F_ROOT | NLM_F_MATCH;

export const RTM_NEWLINK = 16;
export const RTM_GETLINK = 18;
export const RTM_NEWADDR = 20;
export const RTM_GETADDR = 22;
export const RTM_NEWROUTE = 24;
export const RTM_GETROUTE = 26;
export const RTM_GETNEIGH = 30;
export const RTM_NEWRULE = 32;
export const RTM_GETRULE = 34;
export const RTM_GETQDISC = 38;

// struct ifinfomsg
export const IFI_FAMILY = 0;
export const IFI_TYPE = 2;
export const IFI_INDEX = 4;
export const IFI_FLAGS = 8;
export const IFI_SIZE = 16;
export const IFLA_ADDRESS = 1;
export const IFLA_BROADCAST = 2;
export const IFLA_IFNAME = 3;
export const IFLA_MTU = 4;
export const IFLA_QDISC = 6;
export const IFLA_STATS = 7;
export const IFLA_TXQLEN = 13;
export const IFLA_OPERSTATE = 16;
export const IFLA_LINKMODE = 17;
export const IFLA_STATS64 = 23;
export const IFLA_GROUP = 27;

// struct ifaddrmsg
export const IFA_FAMILY_OFFSET = 0;
export const IFA_PREFIXLEN = 1;
export const IFA_FLAGS_OFFSET = 2;
export const IFA_SCOPE = 3;
export const IFA_INDEX = 4;
export const IFA_SIZE = 8;
export const IFA_ADDRESS = 1;
export const IFA_LOCAL = 2;
export const IFA_LABEL = 3;
export const IFA_CACHEINFO = 6;
export const IFA_FLAGS = 8;
export const IFA_F_PERMANENT = 0x80;

// struct rtmsg
export const RTM_SIZE = 12;
export const RTA_DST = 1;
export const RTA_OIF = 4;
export const RTA_PREFSRC = 7;
export const RTA_TABLE = 15;
export const RT_TABLE_LOCAL = 255;
export const RTPROT_KERNEL = 2;
export const RTN_LOCAL = 2;

export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_HOST = 254;

/** rtm_flags: the route was made for this question. */
export const RTM_F_CLONED = 0x200;
/** To an address of this machine. */
export const RTCF_LOCAL: number = 0x8000_0000 | 0;
export const RTM_FLAGS_OFFSET = 8;
export const RTA_UID = 25;

// struct fib_rule_hdr (linux/fib_rules.h): family, dst_len, src_len, tos, table, reserved, reserved, action; u32 flags
export const FIB_RULE_SIZE = 12;
export const FIB_RULE_TABLE = 4;
export const FIB_RULE_ACTION = 7;
export const FR_ACT_TO_TBL = 1;
export const FRA_PRIORITY = 6;
export const FRA_TABLE = 15;
export const RT_TABLE_DEFAULT = 253;
export const RT_TABLE_MAIN = 254;
