/**
 * /proc/sys: the kernel's parameters (proc_sys_kernel(5), proc_sys_vm(5), proc_sys_fs(5)). One table; settable ones that
 * change nothing here keep what was written, as programs check.
 */
import { CAP_LAST_CAP, EINVAL, EPERM } from "linux-abi";
import { DirMapping, SimpleDir, type SimpleFs } from "vfs-inode/pseudofs";
import { KERNEL_NAME, KERNEL_RELEASE, KERNEL_VERSION } from "../../uname.ts";
import type { FileSystems } from "../file-systems.ts";
import { ENTROPY_BITS } from "../devfs/memory-devices.ts";
import { type ProcFile, procNode } from "./proc-file.ts";

interface Parameter {
  /** Path below /proc/sys. */
  readonly path: string;
  get(system: FileSystems): string | number;
  set?(system: FileSystems, text: string): number;
}

const fixed = (path: string, value: string | number): Parameter => ({ path, get: () => value });

/** Keeps what is written; `initial` until then. */
const kept = (path: string, initial: string | number): Parameter => ({
  path,
  get: (system) => system.parameters.get(path) ?? initial,
  set(system, text) {
    system.parameters.set(path, text.trim());
    return 0;
  },
});

/** 16 random bytes as a version 4 UUID. */
function uuid(system: FileSystems): string {
  const bytes = new Uint8Array(16);
  system.kernel.platform.fillRandom(bytes);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Host or domain name: what sethostname(2) sets. */
function nameParameter(path: string, field: "hostName" | "domainName"): Parameter {
  return {
    path,
    get: ({ kernel }) => kernel[field],
    set({ kernel }, text) {
      const name = text.trim();
      if (name.length > 64) return -EINVAL;
      kernel[field] = name;
      return 0;
    },
  };
}

const PARAMETERS: readonly Parameter[] = [
  fixed("kernel/ostype", KERNEL_NAME),
  fixed("kernel/osrelease", KERNEL_RELEASE),
  fixed("kernel/version", KERNEL_VERSION),
  fixed("kernel/arch", "riscv64"),
  nameParameter("kernel/hostname", "hostName"),
  nameParameter("kernel/domainname", "domainName"),
  fixed("kernel/cap_last_cap", CAP_LAST_CAP),
  fixed("kernel/ngroups_max", 65536),
  kept("kernel/pid_max", 4194304),
  { path: "kernel/threads-max", get: ({ kernel }) => kernel.tasks.maxThreads },
  fixed("kernel/overflowuid", 65534),
  fixed("kernel/overflowgid", 65534),
  fixed("kernel/tainted", 0),
  kept("kernel/printk", "4\t4\t1\t7"),
  kept("kernel/core_pattern", "core"),
  kept("kernel/core_uses_pid", 0),
  {
    path: "kernel/randomize_va_space",
    get: ({ kernel }) => kernel.randomizeLevel,
    set({ kernel }, text) {
      if (!/^[012]$/.test(text.trim())) return -EINVAL;
      kernel.randomizeLevel = Number(text);
      return 0;
    },
  },
  kept("kernel/dmesg_restrict", 0),
  kept("kernel/kptr_restrict", 0),
  kept("kernel/perf_event_paranoid", 2),
  kept("kernel/sysrq", 0),
  kept("kernel/panic", 0),
  kept("kernel/shmmax", "18446744073692774399"),
  kept("kernel/shmall", "18446744073692774399"),
  kept("kernel/shmmni", 4096),
  kept("kernel/sem", "32000\t1024000000\t500\t32000"),
  kept("kernel/msgmax", 8192),
  kept("kernel/msgmnb", 16384),
  kept("kernel/msgmni", 32000),
  kept("kernel/sched_child_runs_first", 0),
  fixed("kernel/seccomp/actions_avail", ""),
  kept("kernel/yama/ptrace_scope", 0),
  fixed("kernel/random/entropy_avail", ENTROPY_BITS),
  fixed("kernel/random/poolsize", ENTROPY_BITS),
  { path: "kernel/random/boot_id", get: (system) => (system.bootId ??= uuid(system)) },
  { path: "kernel/random/uuid", get: uuid },
  kept("kernel/ns_last_pid", 0),
  kept("kernel/unprivileged_userns_clone", 0),
  kept("vm/overcommit_memory", 0),
  kept("vm/overcommit_ratio", 50),
  kept("vm/max_map_count", 65530),
  kept("vm/mmap_min_addr", 65536),
  kept("vm/swappiness", 60),
  kept("vm/dirty_ratio", 20),
  kept("vm/dirty_background_ratio", 10),
  kept("vm/vfs_cache_pressure", 100),
  kept("vm/nr_hugepages", 0),
  kept("vm/min_free_kbytes", 0),
  {
    path: "vm/drop_caches",
    get: () => 0,
    set(system, text) {
      const what = Number(text.trim());
      if (what < 1 || what > 4) return -EINVAL;
      if ((what & 1) !== 0) system.vfs.pageCache.shrink(Number.MAX_SAFE_INTEGER);
      if ((what & 2) !== 0) system.vfs.dentries.shrink(Number.MAX_SAFE_INTEGER);
      return 0;
    },
  },
  {
    path: "fs/file-nr",
    get({ kernel }) {
      let open = 0;
      for (const process of kernel.tasks.processes()) if (!process.zombie) open += process.leader.files.length;
      return `${open}\t0\t9223372036854775807`;
    },
  },
  { path: "fs/dentry-state", get: ({ vfs }) => `${vfs.dentries.count}\t0\t45\t0\t0\t0` },
  { path: "fs/inode-nr", get: ({ vfs }) => `${vfs.dentries.count}\t0` },
  kept("fs/file-max", "9223372036854775807"),
  fixed("fs/nr_open", 1048576),
  kept("fs/pipe-max-size", 1048576),
  kept("fs/pipe-user-pages-soft", 16384),
  kept("fs/pipe-user-pages-hard", 0),
  kept("fs/inotify/max_user_instances", 128),
  kept("fs/inotify/max_user_watches", 65536),
  kept("fs/inotify/max_queued_events", 16384),
  kept("fs/protected_hardlinks", 0),
  kept("fs/protected_symlinks", 0),
  kept("fs/protected_regular", 0),
  kept("fs/protected_fifos", 0),
  kept("fs/suid_dumpable", 0),
  kept("fs/mqueue/msg_max", 10),
  kept("fs/mqueue/msgsize_max", 8192),
  kept("fs/mqueue/queues_max", 256),
  kept("net/core/somaxconn", 4096),
  kept("net/core/rmem_max", 212992),
  kept("net/core/wmem_max", 212992),
  kept("net/core/rmem_default", 212992),
  kept("net/core/wmem_default", 212992),
  kept("net/ipv4/ip_forward", 0),
  kept("net/ipv4/ip_local_port_range", "32768\t60999"),
  kept("net/ipv4/ip_unprivileged_port_start", 1024),
  kept("net/ipv4/tcp_rmem", "4096\t131072\t6291456"),
  kept("net/ipv4/tcp_wmem", "4096\t16384\t4194304"),
  kept("net/ipv4/tcp_fin_timeout", 60),
  kept("net/ipv4/ping_group_range", "0\t2147483647"),
  kept("net/ipv6/conf/all/disable_ipv6", 0),
  kept("net/unix/max_dgram_qlen", 512),
];

function parameterFile(name: string, parameter: Parameter): ProcFile {
  const { set } = parameter;
  const text = (system: FileSystems): string => `${parameter.get(system)}\n`;
  if (set === undefined) return { name, text, mode: 0o444, write: () => -EPERM };
  return { name, text, mode: 0o644, write: set };
}

/** The tree below /proc/sys. */
export function sysctlDir(fs: SimpleFs, system: FileSystems): SimpleDir {
  const top = new SimpleDir(fs, new DirMapping());
  for (const parameter of PARAMETERS) {
    const parts = parameter.path.split("/");
    const name = parts.pop() as string;
    let dir = top;
    for (const part of parts) {
      let below = dir.mapping.get(part);
      if (!(below instanceof SimpleDir)) {
        below = new SimpleDir(fs, new DirMapping());
        dir.mapping.add(part, below);
      }
      dir = below as SimpleDir;
    }
    dir.mapping.add(name, procNode(fs, system, parameterFile(name, parameter)));
  }
  return top;
}
