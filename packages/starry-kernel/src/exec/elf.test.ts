import {
  EHDR_E_ENTRY,
  EHDR_E_MACHINE,
  EHDR_E_PHENTSIZE,
  EHDR_E_PHNUM,
  EHDR_E_PHOFF,
  EHDR_E_TYPE,
  EHDR_SIZE,
  EM_RISCV,
  ENOEXEC,
  ET_DYN,
  ET_REL,
  PF_R,
  PF_W,
  PHDR_SIZE,
  PT_LOAD,
} from "linux-abi";
import { expect, test } from "vitest";
import { checkLoads, isElf, parseHeader, type Segment } from "./elf.ts";

function header(change: (view: DataView) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(EHDR_SIZE);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  const view = new DataView(bytes.buffer);
  view.setUint16(EHDR_E_TYPE, ET_DYN, true);
  view.setUint16(EHDR_E_MACHINE, EM_RISCV, true);
  view.setUint32(EHDR_E_ENTRY, 0x1234, true);
  view.setUint32(EHDR_E_PHOFF, EHDR_SIZE, true);
  view.setUint16(EHDR_E_PHENTSIZE, PHDR_SIZE, true);
  view.setUint16(EHDR_E_PHNUM, 3, true);
  change(view);
  return bytes;
}

const segment: Segment = {
  type: PT_LOAD,
  flags: PF_R | PF_W,
  offset: 0x1000,
  vaddr: 0x11000,
  fileSize: 0x800,
  memorySize: 0x2000,
  align: 4096,
};

test("a riscv64 header is read", () => {
  expect(isElf(header())).toBe(true);
  expect(parseHeader(header())).toEqual({ type: ET_DYN, entry: 0x1234, flags: 0, phoff: 64, phnum: 3 });
});

test("foreign, truncated and relocatable files are refused by name", () => {
  const reason = (bytes: Uint8Array): unknown => {
    const result = parseHeader(bytes);
    if (!("reason" in result)) return undefined;
    expect(result.error).toBe(-ENOEXEC);
    return result.reason;
  };
  expect(reason(header().subarray(0, 40))).toBe("truncated ELF header");
  expect(reason(header((v) => v.setUint16(EHDR_E_MACHINE, 183, true)))).toBe("ELF file for AArch64, not riscv64");
  expect(reason(header((v) => v.setUint8(4, 1)))).toBe("not a 64-bit little-endian ELF file");
  expect(reason(header((v) => v.setUint16(EHDR_E_TYPE, ET_REL, true)))).toBe("ELF file of type 1 is not executable");
  expect(reason(header((v) => v.setUint16(EHDR_E_PHNUM, 0, true)))).toBe("bad ELF program headers");
});

test("segments must fit the file, the address space and each other", () => {
  expect(checkLoads([segment], 0x1800)).toBeUndefined();
  expect(checkLoads([], 0x1800)?.reason).toMatch(/without loadable/);
  expect(checkLoads([segment], 0x17ff)?.reason).toBe("truncated ELF file");
  expect(checkLoads([{ ...segment, vaddr: 2 ** 38 - 0x1000 }], 0x1800)?.reason).toMatch(/out of range/);
  expect(checkLoads([{ ...segment, vaddr: 0x11001 }], 0x1800)?.reason).toMatch(/not page aligned/);
  expect(checkLoads([segment, { ...segment, vaddr: 0x12000 }], 0x1800)?.reason).toMatch(/overlap/);
  expect(checkLoads([{ ...segment, fileSize: 0x3000 }], 0x9000)?.reason).toMatch(/out of range/);
});
