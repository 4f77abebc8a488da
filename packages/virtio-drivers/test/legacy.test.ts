/** Drivers on a version 1 device: the model of virt-devices behind a shim that speaks the legacy registers. */
import { BlockDevice, ConsoleDevice, EntropyDevice, type VirtioModel } from "virt-devices";
import { expect, test } from "vitest";
import { ERR_NO_DEVICE, type MmioRegion, MmioTransport, VirtIOBlk, VirtIOConsole, VirtIORng } from "../src/index.ts";
import * as spec from "../src/spec.ts";
import { createRig, firstDifference, ok, pattern, type Rig, TestDisk } from "./rig.ts";

/** Version 1 registers over a version 2 device. `pfns` holds what QueuePFN reads. */
function legacyRegion(inner: MmioRegion): MmioRegion & { pfns: number[]; badAccesses: number[] } {
  const pfns: number[] = [];
  const badAccesses: number[] = [];
  let queue = 0;
  let size = 0;
  let align = 0;
  let pageSize = 0;
  const writeAddress = (low: number, address: number): void => {
    inner.write32(low, address % 2 ** 32);
    inner.write32(low + 4, Math.floor(address / 2 ** 32));
  };
  const setPfn = (pfn: number): void => {
    pfns[queue] = pfn;
    if (pfn === 0) return inner.write32(spec.MMIO_QUEUE_READY, 0);
    const desc = pfn * pageSize;
    const avail = desc + 16 * size;
    const used = Math.ceil((avail + 6 + 2 * size) / align) * align; // §2.7.2
    writeAddress(spec.MMIO_QUEUE_DESC_LOW, desc);
    writeAddress(spec.MMIO_QUEUE_DRIVER_LOW, avail);
    writeAddress(spec.MMIO_QUEUE_DEVICE_LOW, used);
    // The model checks features at FEATURES_OK, which a legacy driver never sets.
    inner.write32(spec.MMIO_DRIVER_FEATURES_SEL, 1);
    inner.write32(spec.MMIO_DRIVER_FEATURES, spec.F_VERSION_1_HI);
    inner.write32(spec.MMIO_STATUS, inner.read32(spec.MMIO_STATUS) | spec.STATUS_FEATURES_OK);
    inner.write32(spec.MMIO_QUEUE_READY, 1);
  };
  return {
    ...inner,
    pfns,
    badAccesses,
    read32: (offset) => {
      if (offset === spec.MMIO_VERSION) return 1;
      if (offset === spec.MMIO_LEGACY_QUEUE_PFN) return pfns[queue] ?? 0;
      if ([spec.MMIO_QUEUE_READY, spec.MMIO_CONFIG_GENERATION].includes(offset)) badAccesses.push(offset);
      return offset === spec.MMIO_STATUS ? inner.read32(offset) & ~spec.STATUS_FEATURES_OK : inner.read32(offset);
    },
    write32: (offset, value) => {
      if (offset === spec.MMIO_LEGACY_GUEST_PAGE_SIZE) pageSize = value;
      else if (offset === spec.MMIO_LEGACY_QUEUE_ALIGN) align = value;
      else if (offset === spec.MMIO_LEGACY_QUEUE_PFN) setPfn(value);
      else {
        if (offset === spec.MMIO_QUEUE_SEL) queue = value;
        if (offset === spec.MMIO_QUEUE_SIZE) size = value;
        if (offset >= 0x80 && offset < 0x100) badAccesses.push(offset);
        inner.write32(offset, offset === spec.MMIO_STATUS && value !== 0 ? value | inner.read32(offset) : value);
      }
    },
  };
}

function createLegacy(model: VirtioModel): Rig & { legacy: ReturnType<typeof legacyRegion>; v1: MmioTransport } {
  const rig = createRig(model, { pages: 1024 });
  const legacy = legacyRegion(rig.region);
  return { ...rig, legacy, v1: ok(MmioTransport.create(legacy, { legacy: true })) };
}

test("version 1 is refused unless asked for", () => {
  const rig = createRig(new EntropyDevice({ fillRandom: () => {} }));
  expect(MmioTransport.create(legacyRegion(rig.region))).toBe(ERR_NO_DEVICE);
});

test("a legacy block device is read and written, with the legacy registers only", () => {
  const disk = new TestDisk(4096);
  const { hal, v1, legacy, frames } = createLegacy(new BlockDevice({ backend: disk }));
  expect(v1.isLegacy).toBe(true);
  const blk = ok(VirtIOBlk.create(hal, v1));
  const data = pattern(700 * 1024, 6);
  expect(blk.capacity()).toBe(4096);
  expect(blk.writeBlocks(8, data)).toBe(0);
  const back = new Uint8Array(data.length);
  expect(blk.readBlocks(8, back)).toBe(0);
  expect(firstDifference(back, data)).toBe(-1);
  expect(legacy.pfns[0]).toBeGreaterThan(0);
  expect(legacy.badAccesses).toEqual([]);
  blk.release();
  hal.trim();
  expect(frames.usedCount).toBe(0);
});

test("legacy console and entropy devices work too", () => {
  const output: number[] = [];
  const model = new ConsoleDevice({ onOutput: (bytes) => output.push(...bytes) });
  const { hal, v1 } = createLegacy(model);
  const driver = ok(VirtIOConsole.create(hal, v1));
  driver.write(Uint8Array.of(1, 2, 3));
  model.input(Uint8Array.of(4, 5));
  const target = new Uint8Array(8);
  expect([output, driver.read(target), target[0], target[1]]).toEqual([[1, 2, 3], 2, 4, 5]);
  expect(driver.size()).toEqual({ columns: 80, rows: 24 });
  const entropy = createLegacy(new EntropyDevice({ fillRandom: (bytes) => bytes.fill(9) }));
  expect(ok(VirtIORng.create(entropy.hal, entropy.v1)).requestEntropy(target)).toBe(8);
});
