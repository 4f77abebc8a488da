/** Short files at the top of /proc that say what the system is: uptime version cmdline devices filesystems modules swaps ... */
import { MARKER_SYMBOL } from "ktracepoint";
import { major, minor } from "linux-abi";
import { MACHINE, KERNEL_NAME, KERNEL_RELEASE, KERNEL_VERSION } from "../../../uname.ts";
import { seconds, totalCpu } from "../format.ts";
import type { ProcFile } from "../proc-file.ts";

const uptime: ProcFile = {
  name: "uptime",
  text: ({ kernel }) => `${seconds(kernel.clock.monotonicNs())} ${seconds(totalCpu(kernel).idleNs)}\n`,
};

const version: ProcFile = {
  name: "version",
  text: () => `${KERNEL_NAME} version ${KERNEL_RELEASE} (starry@${MACHINE}) ${KERNEL_VERSION}\n`,
};

const cmdline: ProcFile = {
  name: "cmdline",
  text: (system) => `${system.commandLine}\n`,
};

const filesystems: ProcFile = {
  name: "filesystems",
  text({ kernel }) {
    let text = "";
    for (const type of kernel.fileSystemTypes.values()) text += `${type.requiresDevice ? "" : "nodev"}\t${type.name}\n`;
    return text;
  },
};

const devices: ProcFile = {
  name: "devices",
  text({ kernel }) {
    const characters = new Map<string, number>();
    for (const [number, name] of kernel.charDevices.list()) characters.set(`${number} ${name}`, number);
    const blocks = new Set<number>();
    for (const entry of kernel.blockDevices.values()) blocks.add(major(entry.rdev));
    const line = (number: number, name: string): string => `${String(number).padStart(3)} ${name}\n`;
    let text = "Character devices:\n";
    for (const [key, number] of [...characters].sort((a, b) => a[1] - b[1]))
      text += line(number, key.slice(key.indexOf(" ") + 1));
    text += "\nBlock devices:\n";
    for (const number of blocks) text += line(number, "virtblk");
    return text;
  },
};

const partitions: ProcFile = {
  name: "partitions",
  text({ kernel }) {
    let text = "major minor  #blocks  name\n\n";
    for (const { name, rdev, device } of kernel.blockDevices.values()) {
      const blocks = Math.floor(device.size / 1024);
      text += `${String(major(rdev)).padStart(4)}  ${String(minor(rdev)).padStart(7)} ${String(blocks).padStart(10)} ${name}\n`;
    }
    return text;
  },
};

const diskstats: ProcFile = {
  name: "diskstats",
  text({ kernel }) {
    let text = "";
    for (const { name, rdev } of kernel.blockDevices.values()) {
      text += `${String(major(rdev)).padStart(4)} ${String(minor(rdev)).padStart(7)} ${name} 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n`;
    }
    return text;
  },
};

const interrupts: ProcFile = { name: "interrupts", text: () => "           CPU0       \n" };
const modules: ProcFile = { name: "modules", text: () => "" };
const swaps: ProcFile = { name: "swaps", text: () => "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n" };
const cgroups: ProcFile = { name: "cgroups", text: () => "#subsys_name\thierarchy\tnum_cgroups\tenabled\n" };
const execdomains: ProcFile = { name: "execdomains", text: () => "0-0\tLinux           \t[kernel]\n" };
const locks: ProcFile = { name: "locks", text: () => "" };
/** Symbols for addresses in trace records; the kernel has no other addresses. trace-cmd needs the file to be there. */
const kallsyms: ProcFile = { name: "kallsyms", text: () => MARKER_SYMBOL };
const buddyinfo: ProcFile = { name: "buddyinfo", text: () => "Node 0, zone    DMA32 0 0 0 0 0 0 0 0 0 0 0\n" };

export const SYSTEM_FILES: readonly ProcFile[] = [
  uptime,
  version,
  cmdline,
  filesystems,
  devices,
  partitions,
  diskstats,
  interrupts,
  modules,
  swaps,
  cgroups,
  execdomains,
  locks,
  buddyinfo,
  kallsyms,
];
