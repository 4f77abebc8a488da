/**
 * SiFive test finisher: one register by which a guest ends the machine.
 *
 *   write32(0, 0x5555)                pass: power off, exit code 0
 *   write32(0, 0x3333 | code << 16)   fail with an exit code, 0..65535
 *   write32(0, 0x7777)                reset
 *
 * Reference: QEMU hw/misc/sifive_test.c; device tree "sifive,test0" with syscon-poweroff and syscon-reboot.
 */
import type { AccessLength, MmioDevice } from "./seams.ts";

export const FINISHER_FAIL = 0x3333;
export const FINISHER_PASS = 0x5555;
export const FINISHER_RESET = 0x7777;
export const FINISHER_SIZE = 0x1000;

/** How the guest ended the machine. */
export type Finish = { readonly kind: "poweroff"; readonly code: number } | { readonly kind: "reboot" };

export class TestFinisher implements MmioDevice {
  readonly #onFinish: (finish: Finish) => void;

  constructor(onFinish: (finish: Finish) => void) {
    this.#onFinish = onFinish;
  }

  read(): number {
    return 0;
  }

  write(offset: number, byteLength: AccessLength, value: number): void {
    // QEMU takes 2- and 4-byte writes.
    if (offset !== 0 || byteLength < 2) return;
    const status = value & 0xffff;
    if (status === FINISHER_PASS) this.#onFinish({ kind: "poweroff", code: 0 });
    else if (status === FINISHER_FAIL) this.#onFinish({ kind: "poweroff", code: (value >>> 16) & 0xffff });
    else if (status === FINISHER_RESET) this.#onFinish({ kind: "reboot" });
  }
}
