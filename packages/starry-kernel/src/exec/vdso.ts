/**
 * The page that every program finds as [vdso]: the code that signal handlers return to.
 *
 * riscv has no SA_RESTORER, so the kernel provides the call of rt_sigreturn. Debuggers and unwinders recognise exactly these
 * two instructions.
 */
import type { AddressSpace } from "../mm/address-space.ts";
import { PAGE_SIZE } from "../mm/frame-allocator.ts";
import { mapRegion } from "../mm/mapping.ts";
import type { MemoryManager } from "../mm/memory-manager.ts";
import type { PageSource } from "../mm/page-source.ts";
import { VM_EXEC, VM_READ, VM_SPECIAL } from "../mm/vma.ts";

const LI_A7_RT_SIGRETURN = 0x08b00893; // addi a7, zero, 139
const ECALL = 0x00000073;

class VdsoPage implements PageSource {
  readonly ino = 0;
  readonly deviceNumber = 0;
  readonly #manager: MemoryManager;
  readonly #frame: number;

  constructor(manager: MemoryManager) {
    this.#manager = manager;
    this.#frame = manager.allocFrame(true);
    if (this.#frame < 0) throw new RangeError("guest RAM is too small for the kernel");
    const at = manager.frames.wordIndex(this.#frame);
    manager.frames.words[at] = LI_A7_RT_SIGRETURN;
    manager.frames.words[at + 1] = ECALL;
  }

  page(): number {
    this.#manager.frames.get(this.#frame);
    return this.#frame;
  }

  sync(): number {
    return 0;
  }
}

const $pages: WeakMap<MemoryManager, VdsoPage> = new WeakMap(); // one per kernel

/** Maps the page; sets `space.vdso`. 0 or -errno. */
export function mapVdso(space: AddressSpace): number {
  let source = $pages.get(space.manager);
  if (source === undefined) {
    source = new VdsoPage(space.manager);
    $pages.set(space.manager, source);
  }
  const at = mapRegion(space, {
    address: 0,
    byteLength: PAGE_SIZE,
    flags: VM_READ | VM_EXEC | VM_SPECIAL,
    fixed: false,
    source,
    file: null,
    pageOffset: 0,
    name: "[vdso]",
  });
  if (at < 0) return at;
  space.vdso = at;
  return 0;
}
