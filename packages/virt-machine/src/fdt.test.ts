/// <reference types="node" />
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { buildVirtDeviceTree } from "./device-tree.ts";
import { buildFdt, cells64, node } from "./fdt.ts";

const hasDtc = spawnSync("dtc", ["--version"]).status === 0;

test("a small tree has exactly the bytes that the specification asks for", () => {
  const bytes = buildFdt(node("", { a: 1 }, [node("n", { b: "x", a: [2, 3], c: true })]));
  const words: number[] = [];
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < bytes.length - 6; i += 4) words.push(view.getUint32(i));
  // biome-ignore format: one line a node
  expect(words.slice(14)).toEqual([
    1, 0, 3, 4, 0, 1,
    1, 0x6e00_0000, 3, 2, 2, 0x7800_0000, 3, 8, 0, 2, 3, 3, 0, 4,
    2, 2, 9,
  ]);
  expect(String.fromCharCode(...bytes.subarray(bytes.length - 6))).toBe("a\0b\0c\0");
  expect(words.slice(0, 10)).toEqual([0xd00d_feed, bytes.length, 56, 148, 40, 17, 16, 0, 6, 92]);
});

test("64-bit cells and refused values", () => {
  expect(cells64(0x1_8000_0000, 5)).toEqual([1, 0x8000_0000, 0, 5]);
  expect(() => buildFdt(node("", { a: -1 }))).toThrow(RangeError);
  expect(() => buildFdt(node("", { a: "\u00e4" }))).toThrow(RangeError);
});

test.skipIf(!hasDtc)("dtc reads the board's tree without a warning and finds QEMU's names in it", () => {
  const bytes = buildVirtDeviceTree({
    memorySize: 256 << 20,
    bootArgs: "console=ttyS0 root=/dev/vda",
    rngSeed: new Uint8Array(32).fill(5),
    initrd: { start: 0x8800_0000, end: 0x8810_0000 },
  });
  const result = spawnSync("dtc", ["-I", "dtb", "-O", "dts"], { input: bytes });
  expect(result.stderr.toString()).toBe("");
  expect(result.status).toBe(0);
  const source = result.stdout.toString();
  for (const line of [
    'bootargs = "console=ttyS0 root=/dev/vda";',
    'stdout-path = "/soc/serial@10000000";',
    "memory@80000000",
    "reg = <0x00 0x80000000 0x00 0x10000000>;",
    'riscv,isa = "rv64imafdc_zicbom_zicboz_zicntr_zicond_zicsr_zifencei_zihintpause_zba_zbb_zbs_sstc_svadu";',
    'mmu-type = "riscv,sv48";',
    "timebase-frequency = <0x989680>;",
    "plic@c000000",
    "clint@2000000",
    "rtc@101000",
    "test@100000",
    "virtio_mmio@10001000",
    "virtio_mmio@10008000",
    'compatible = "ns16550a";',
    "linux,initrd-start = <0x00 0x88000000>;",
  ]) {
    expect(source).toContain(line);
  }
});
