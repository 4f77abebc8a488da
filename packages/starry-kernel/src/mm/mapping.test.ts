/**
 * Mappings against a model: an array with one entry per page. Random sequences of mmap, munmap, mprotect, mremap, madvise, stores
 * and forks; after each step list and page table must agree with the model, and in the end every frame must be free again.
 */
import { expect, test } from "vitest";
import type { UserCpu } from "../platform.ts";
import { ResourceLimits } from "../task/limits.ts";
import { adviseRegion } from "./advice.ts";
import { AddressSpace, FAULT_OK } from "./address-space.ts";
import { FrameAllocator, PAGE_SIZE } from "./frame-allocator.ts";
import { mapRegion, protectRegion, remapRegion, setBreak, splitAt, unmapRegion } from "./mapping.ts";
import { MemoryManager } from "./memory-manager.ts";
import { PTE_ANON, PTE_V, PTE_W, pteFrame } from "./page-table.ts";
import { SharedMemory } from "./shared-memory.ts";
import { VM_READ, VM_SHARED, VM_WRITE } from "./vma.ts";
import { MADV_DONTNEED } from "linux-abi";

const cpu: UserCpu = {
  x: new Int32Array(64),
  f: new Int32Array(64),
  fcsr: 0,
  pc: 0,
  advancePc: () => {},
  setAddressSpace: () => {},
  flushTlb: () => {},
  flushInstructions: () => {},
  invalidateCode: () => {},
  run: () => 0,
  trapCause: 0,
  trapValue: 0,
  requestStop: () => {},
  instret: 0,
};

function makeManager(pages = 2048): MemoryManager {
  const bytes = new Uint8Array(pages * PAGE_SIZE);
  const ram = { base: 0x8000_0000, size: bytes.length, bytes, view: new DataView(bytes.buffer) };
  return new MemoryManager(new FrameAllocator({ ram }), cpu);
}

function makeSpace(manager: MemoryManager): AddressSpace {
  const space = AddressSpace.create(manager, ResourceLimits.forInit(100)) as AddressSpace;
  space.mmapTop = BASE + WINDOW * PAGE_SIZE;
  return space;
}

/** The window of addresses that the random test works in. */
const BASE = 0x10_0000_0000;
const WINDOW = 64;

/** What a page should look like: no mapping, or its rights and first byte. */
type ModelPage = { access: number; value: number; shared: SharedMemory | null; index: number } | null;

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 8) % below;
  };
}

function checkList(space: AddressSpace): void {
  let last = 0;
  for (const vma of space.vmas.all) {
    expect(vma.start).toBeGreaterThanOrEqual(last);
    expect(vma.end).toBeGreaterThan(vma.start);
    last = vma.end;
  }
  for (let i = 1; i < space.vmas.all.length; i++) {
    expect(space.vmas.all[i - 1]?.mergesWith(space.vmas.all[i] as never)).toBe(false);
  }
}

function checkTable(space: AddressSpace): void {
  let anon = 0;
  space.table.forEach(0, 2 ** 26, (vpn, slot) => {
    const pte = space.table.get(slot);
    expect(space.vmas.find(vpn * PAGE_SIZE)).toBeDefined();
    expect(space.frames.refs(pteFrame(pte))).toBeGreaterThan(0);
    if ((pte & PTE_ANON) !== 0) {
      anon++;
      if ((pte & (PTE_V | PTE_W)) === (PTE_V | PTE_W)) expect(space.frames.refs(pteFrame(pte))).toBe(1);
    }
  });
  expect(space.anonPages).toBe(anon);
}

function checkModel(
  space: AddressSpace,
  model: readonly ModelPage[],
  shared: ReadonlyMap<SharedMemory, number[]>,
): void {
  for (let i = 0; i < WINDOW; i++) {
    const page = model[i] ?? null;
    const va = BASE + i * PAGE_SIZE;
    const vma = space.vmas.find(va);
    if (page === null) {
      expect(vma, `page ${i} is not mapped`).toBeUndefined();
      continue;
    }
    expect(vma, `page ${i} is mapped`).toBeDefined();
    const value = page.shared === null ? page.value : shared.get(page.shared)?.[page.index];
    if (page.access === 0) expect(space.resolve(va, false)).toBeLessThan(0);
    else expect(space.readU8(va), `page ${i}`).toBe(value);
    if ((page.access & VM_WRITE) === 0) expect(space.resolve(va, true)).toBeLessThan(0);
  }
}

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
  test(`random changes leave what the model says (seed ${seed})`, () => {
    const manager = makeManager();
    const before = manager.frames.free;
    const next = random(seed);
    const space = makeSpace(manager);
    const model: ModelPage[] = new Array<ModelPage>(WINDOW).fill(null);
    const shared = new Map<SharedMemory, number[]>();
    const children: { space: AddressSpace; model: ModelPage[] }[] = [];
    const at = (page: number): number => BASE + page * PAGE_SIZE;

    for (let step = 0; step < 400; step++) {
      const first = next(WINDOW);
      const count = 1 + next(Math.min(8, WINDOW - first));
      const bytes = count * PAGE_SIZE;
      const range = model.slice(first, first + count);
      switch (next(8)) {
        case 0:
        case 1: {
          const isShared = next(4) === 0;
          const source = isShared ? new SharedMemory(manager, step, count) : null;
          if (source !== null) shared.set(source, new Array<number>(count).fill(0));
          const access = VM_READ | VM_WRITE;
          const flags = access | (isShared ? VM_SHARED : 0);
          const request = {
            address: at(first),
            byteLength: bytes,
            flags,
            fixed: true,
            source,
            file: null,
            pageOffset: 0,
          };
          expect(mapRegion(space, request)).toBe(at(first));
          for (let i = 0; i < count; i++) model[first + i] = { access, value: 0, shared: source, index: i };
          break;
        }
        case 2:
          expect(unmapRegion(space, at(first), at(first + count))).toBe(0);
          for (let i = 0; i < count; i++) model[first + i] = null;
          break;
        case 3: {
          const access = [0, VM_READ, VM_READ | VM_WRITE][next(3)] as number;
          const complete = range.every((page) => page !== null);
          expect(protectRegion(space, at(first), at(first + count), access) === 0).toBe(complete);
          if (complete) for (const page of range) if (page !== null) page.access = access;
          break;
        }
        case 4: {
          const page = model[first] ?? null;
          const value = 1 + next(250);
          const mayStore = page !== null && (page.access & VM_WRITE) !== 0;
          expect(space.writeU8(at(first), value) === 0).toBe(mayStore);
          if (!mayStore || page === null) break;
          if (page.shared === null) page.value = value;
          else (shared.get(page.shared) as number[])[page.index] = value;
          break;
        }
        case 5: {
          if (!range.every((page) => page !== null && page.shared === null)) break;
          expect(adviseRegion(space, at(first), at(first + count), MADV_DONTNEED)).toBe(0);
          for (const page of range) if (page !== null) page.value = 0;
          break;
        }
        case 6: {
          // Moves or resizes one page to somewhere else in the window.
          const page = model[first] ?? null;
          const to = next(WINDOW);
          if (page === null || to === first) break;
          const request = {
            oldStart: at(first),
            oldLength: PAGE_SIZE,
            newLength: PAGE_SIZE,
            mayMove: true,
            newAddress: at(to),
            dontUnmap: false,
          };
          expect(remapRegion(space, request)).toBe(at(to));
          model[to] = page;
          model[first] = null;
          break;
        }
        default: {
          if (children.length > 0 && next(2) === 0) {
            const child = children.shift();
            child?.space.put();
            break;
          }
          const copy = space.fork(space.limits) as AddressSpace;
          children.push({ space: copy, model: model.map((page) => (page === null ? null : { ...page })) });
        }
      }
      if (step % 20 === 0) {
        splitAt(space, at(next(WINDOW))); // harmless at any time; the next change merges again
        unmapRegion(space, at(WINDOW - 1), at(WINDOW));
        model[WINDOW - 1] = null;
        checkModel(space, model, shared);
        checkTable(space);
        for (const child of children) {
          checkModel(child.space, child.model, shared);
          checkTable(child.space);
        }
      }
    }
    for (const child of children) child.space.put();
    space.put();
    expect(manager.frames.free).toBe(before);
  });
}

test("equal neighbours become one mapping, different ones do not", () => {
  const space = makeSpace(makeManager());
  const map = (page: number, flags: number): void => {
    mapRegion(space, {
      address: BASE + page * PAGE_SIZE,
      byteLength: PAGE_SIZE,
      flags,
      fixed: true,
      source: null,
      file: null,
      pageOffset: 0,
    });
  };
  map(0, VM_READ | VM_WRITE);
  map(2, VM_READ | VM_WRITE);
  expect(space.vmas.all).toHaveLength(2);
  map(1, VM_READ | VM_WRITE);
  expect(space.vmas.all).toHaveLength(1);
  protectRegion(space, BASE + PAGE_SIZE, BASE + 2 * PAGE_SIZE, VM_READ);
  expect(space.vmas.all).toHaveLength(3);
  protectRegion(space, BASE + PAGE_SIZE, BASE + 2 * PAGE_SIZE, VM_READ | VM_WRITE);
  expect(space.vmas.all).toHaveLength(1);
  checkList(space);
});

test("anonymous mappings grow downwards from the top", () => {
  const space = makeSpace(makeManager());
  const request = {
    address: 0,
    byteLength: PAGE_SIZE,
    flags: VM_READ,
    fixed: false,
    source: null,
    file: null,
    pageOffset: 0,
  };
  expect(mapRegion(space, request)).toBe(space.mmapTop - PAGE_SIZE);
  expect(mapRegion(space, { ...request, byteLength: 3 * PAGE_SIZE })).toBe(space.mmapTop - 4 * PAGE_SIZE);
  unmapRegion(space, space.mmapTop - PAGE_SIZE, space.mmapTop);
  expect(mapRegion(space, request)).toBe(space.mmapTop - PAGE_SIZE);
});

test("the break moves both ways and stops before another mapping", () => {
  const space = makeSpace(makeManager());
  space.brkStart = BASE;
  space.brk = BASE;
  expect(setBreak(space, BASE + 10)).toBe(BASE + 10);
  expect(space.writeU8(BASE + 5, 7)).toBe(0);
  expect(setBreak(space, BASE)).toBe(BASE);
  expect(space.writeU8(BASE + 5, 7)).toBeLessThan(0);
  mapRegion(space, {
    address: BASE + 4 * PAGE_SIZE,
    byteLength: PAGE_SIZE,
    flags: VM_READ,
    fixed: true,
    source: null,
    file: null,
    pageOffset: 0,
  });
  expect(setBreak(space, BASE + 5 * PAGE_SIZE)).toBe(BASE);
});

test("memory that was only read is the shared page of zeros", () => {
  const manager = makeManager();
  const space = makeSpace(manager);
  mapRegion(space, {
    address: BASE,
    byteLength: 16 * PAGE_SIZE,
    flags: VM_READ | VM_WRITE,
    fixed: true,
    source: null,
    file: null,
    pageOffset: 0,
  });
  for (let i = 0; i < 16; i++) expect(space.readU8(BASE + i * PAGE_SIZE)).toBe(0);
  expect(space.residentPages).toBe(0);
  expect(manager.frames.refs(manager.zeroFrame)).toBe(17);
  space.put();
  expect(manager.frames.refs(manager.zeroFrame)).toBe(1);
});

test("memory that is used page after page takes few faults, and its pages are zeroed neighbours in RAM", () => {
  const manager = makeManager();
  const space = makeSpace(manager);
  for (const round of ["fresh", "used"]) {
    const before = manager.faults;
    const start = mapRegion(space, {
      address: 0,
      byteLength: 60 * PAGE_SIZE,
      flags: VM_READ | VM_WRITE,
      fixed: false,
      source: null,
      file: null,
      pageOffset: 0,
    });
    const pte = (page: number): number => space.table.get(space.table.find(start / PAGE_SIZE + page));
    for (let page = 0; page < 60; page++) {
      if (!pte(page)) space.fault(start + page * PAGE_SIZE, VM_WRITE);
      expect(manager.frames.bytes(pteFrame(pte(page))).every((byte) => byte === 0)).toBe(true);
      expect(pteFrame(pte(page))).toBe(pteFrame(pte(0)) + page);
      manager.frames.bytes(pteFrame(pte(page))).fill(0xaa);
    }
    expect([round, manager.faults - before]).toEqual([round, 7]);
    expect(space.anonPages).toBe(60);
    unmapRegion(space, start, start + 60 * PAGE_SIZE);
    expect(space.anonPages).toBe(0);
  }
});

test("memory that is used here and there takes a page with each fault", () => {
  const manager = makeManager();
  const space = makeSpace(manager);
  mapRegion(space, {
    address: BASE,
    byteLength: WINDOW * PAGE_SIZE,
    flags: VM_READ | VM_WRITE,
    fixed: true,
    source: null,
    file: null,
    pageOffset: 0,
  });
  for (const page of [0, 2, 4, 40, 63, 62, 61]) {
    expect(space.fault(BASE + page * PAGE_SIZE, VM_WRITE)).toBe(FAULT_OK);
  }
  expect(space.anonPages).toBe(7);
});
