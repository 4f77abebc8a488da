/**
 * The board's device tree, in the words of QEMU's `virt`, so that firmware and kernels written for that board find
 * their devices.
 */
import { CACHE_BLOCK_BYTES, isaString, SUPERVISOR_EXTENSIONS, USER_EXTENSIONS } from "rv64-cpu/isa";
import { CLINT_TIMEBASE_HZ, PLIC_SOURCES } from "virt-devices";
import { buildFdt, cells64, type FdtNode, type FdtValue, node } from "./fdt.ts";
import { CLINT_BASE, MEMORY_MAP, PLIC_BASE, RAM_BASE, RTC_BASE, TEST_FINISHER_BASE, UART0_BASE } from "./memory-map.ts";

const PHANDLE_CPU_INTC = 1;
const PHANDLE_PLIC = 2;
const PHANDLE_TEST = 3;
const PHANDLE_CPU = 4;

// Interrupt numbers at a hart, RISC-V Priv. table "mcause values"
const IRQ_M_SOFT = 3;
const IRQ_M_TIMER = 7;
const IRQ_S_EXT = 9;
const IRQ_M_EXT = 11;

const ISA_EXTENSIONS: readonly string[] = [...USER_EXTENSIONS, ...SUPERVISOR_EXTENSIONS];

export interface DeviceTreeOptions {
  /** Bytes of RAM. */
  readonly memorySize: number;
  /** Kernel command line. Default "". */
  readonly bootArgs?: string;
  /** Physical range [start, end) of an initial RAM disk. */
  readonly initrd?: { readonly start: number; readonly end: number };
  /** Seed for the guest's random number generator; 32 bytes or more are useful. */
  readonly rngSeed?: Uint8Array;
}

/** The device tree of the board as bytes. */
export function buildVirtDeviceTree(options: DeviceTreeOptions): Uint8Array {
  return buildFdt(
    node("", { "#address-cells": 2, "#size-cells": 2, compatible: "riscv-virtio", model: "riscv-virtio,qemu" }, [
      node("aliases", { serial0: `/soc/${unit("serial", UART0_BASE)}` }),
      chosen(options),
      node(unit("memory", RAM_BASE), { device_type: "memory", reg: cells64(RAM_BASE, options.memorySize) }),
      cpus(),
      node("poweroff", syscon("syscon-poweroff", 0x5555)),
      node("reboot", syscon("syscon-reboot", 0x7777)),
      node("soc", { "#address-cells": 2, "#size-cells": 2, compatible: "simple-bus", ranges: true }, [
        ...devices(),
        ...virtioSlots(),
      ]),
    ]),
  );
}

function chosen(options: DeviceTreeOptions): FdtNode {
  const properties: Record<string, FdtValue> = {
    bootargs: options.bootArgs ?? "",
    "stdout-path": `/soc/${unit("serial", UART0_BASE)}`,
  };
  if (options.rngSeed !== undefined) properties["rng-seed"] = options.rngSeed;
  if (options.initrd !== undefined) {
    properties["linux,initrd-start"] = cells64(options.initrd.start);
    properties["linux,initrd-end"] = cells64(options.initrd.end);
  }
  return node("chosen", properties);
}

function cpus(): FdtNode {
  const interruptController = node("interrupt-controller", {
    "#address-cells": 0,
    "#interrupt-cells": 1,
    "interrupt-controller": true,
    compatible: "riscv,cpu-intc",
    phandle: PHANDLE_CPU_INTC,
  });
  const cpu = node(
    "cpu@0",
    {
      device_type: "cpu",
      reg: 0,
      status: "okay",
      compatible: "riscv",
      "riscv,isa": isaString(ISA_EXTENSIONS),
      "riscv,isa-base": "rv64i",
      "riscv,isa-extensions": ISA_EXTENSIONS,
      "riscv,cbom-block-size": CACHE_BLOCK_BYTES,
      "riscv,cboz-block-size": CACHE_BLOCK_BYTES,
      "mmu-type": "riscv,sv48",
      phandle: PHANDLE_CPU,
    },
    [interruptController],
  );
  const map = node("cpu-map", {}, [node("cluster0", {}, [node("core0", { cpu: PHANDLE_CPU })])]);
  return node("cpus", { "#address-cells": 1, "#size-cells": 0, "timebase-frequency": CLINT_TIMEBASE_HZ }, [cpu, map]);
}

function devices(): FdtNode[] {
  return [
    node(unit("test", TEST_FINISHER_BASE), {
      compatible: ["sifive,test1", "sifive,test0", "syscon"],
      reg: registers("test"),
      phandle: PHANDLE_TEST,
    }),
    node(unit("rtc", RTC_BASE), { compatible: "google,goldfish-rtc", reg: registers("rtc"), ...interrupt("rtc") }),
    node(unit("clint", CLINT_BASE), {
      compatible: ["sifive,clint0", "riscv,clint0"],
      reg: registers("clint"),
      "interrupts-extended": [PHANDLE_CPU_INTC, IRQ_M_SOFT, PHANDLE_CPU_INTC, IRQ_M_TIMER],
    }),
    node(unit("plic", PLIC_BASE), {
      "#address-cells": 0,
      "#interrupt-cells": 1,
      "interrupt-controller": true,
      compatible: ["sifive,plic-1.0.0", "riscv,plic0"],
      reg: registers("plic"),
      "riscv,ndev": PLIC_SOURCES - 1,
      "interrupts-extended": [PHANDLE_CPU_INTC, IRQ_M_EXT, PHANDLE_CPU_INTC, IRQ_S_EXT],
      phandle: PHANDLE_PLIC,
    }),
    node(unit("serial", UART0_BASE), {
      compatible: "ns16550a",
      reg: registers("uart0"),
      "clock-frequency": 3_686_400,
      ...interrupt("uart0"),
    }),
  ];
}

function virtioSlots(): FdtNode[] {
  return MEMORY_MAP.filter((entry) => entry.name.startsWith("virtio")).map((entry) =>
    node(unit("virtio_mmio", entry.base), {
      compatible: "virtio,mmio",
      reg: registers(entry.name),
      ...interrupt(entry.name),
    }),
  );
}

function syscon(compatible: string, value: number): Record<string, FdtValue> {
  return { compatible, regmap: PHANDLE_TEST, offset: 0, value };
}

function unit(name: string, base: number): string {
  return `${name}@${base.toString(16)}`;
}

function registers(name: string): number[] {
  const { base, size } = entryOf(name);
  return cells64(base, size);
}

function interrupt(name: string): Record<string, FdtValue> {
  return { interrupts: entryOf(name).irq, "interrupt-parent": PHANDLE_PLIC };
}

function entryOf(name: string): (typeof MEMORY_MAP)[number] {
  const entry = MEMORY_MAP.find((each) => each.name === name);
  if (entry === undefined) throw new RangeError(`"name" expected an entry of the memory map, got "${name}"`);
  return entry;
}
