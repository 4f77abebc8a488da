/**
 * Puts terminals into a kernel: the nodes that every kernel has, and one for each line that the board has.
 *
 *     installTerminals(kernel);
 *     const uart = addSerialConsole(kernel, plic);        // ttyS0
 *     addHvc(kernel, plic, console, irq);                 // hvc0
 *
 * /dev/console is the first one added, unless `setConsole` chooses another.
 */
import type { VirtIOConsole } from "virtio-drivers";
import type { Kernel } from "../kernel.ts";
import { ConsoleDevice, consoleTty, ControllingTtyDevice, setConsole, TtyDevice } from "./devices.ts";
import { HVC_MAJOR, HvcDriver } from "./hvc.ts";
import { MAX_PTYS, PtmxDevice, PtsDevice, UNIX98_PTY_SLAVE_MAJOR } from "./pty.ts";
import type { Tty } from "./tty.ts";
import { TTY_MAJOR, TTY_SERIAL_MINOR, UART_BASE, UART_BYTES, UART_IRQ, Uart16550 } from "./uart16550.ts";

const TTYAUX_MAJOR = 5;

/** Where drivers hang their interrupt handlers (irq/plic.ts). */
export interface InterruptLines {
  attach(source: number, handler: () => void): void;
}

export function installTerminals(kernel: Kernel): void {
  const { charDevices } = kernel;
  charDevices.register(TTYAUX_MAJOR, 0, 1, new ControllingTtyDevice());
  charDevices.register(TTYAUX_MAJOR, 1, 1, new ConsoleDevice());
  charDevices.register(TTYAUX_MAJOR, 2, 1, new PtmxDevice());
  charDevices.register(UNIX98_PTY_SLAVE_MAJOR, 0, MAX_PTYS, new PtsDevice());
}

/** ttyS0 on the board's UART. */
export function addSerialConsole(kernel: Kernel, interrupts: InterruptLines): Tty {
  const uart = new Uart16550(kernel, kernel.platform.mmio(UART_BASE, UART_BYTES), 0);
  kernel.charDevices.register(TTY_MAJOR, TTY_SERIAL_MINOR, 1, new TtyDevice("ttyS", uart.tty));
  interrupts.attach(UART_IRQ, () => uart.handleInterrupt());
  if (consoleTty(kernel) === undefined) setConsole(kernel, uart.tty);
  return uart.tty;
}

/** hvc0 on a virtio console whose interrupt source is `irq`. */
export function addHvc(kernel: Kernel, interrupts: InterruptLines, device: VirtIOConsole, irq: number): Tty {
  const hvc = new HvcDriver(kernel, device);
  kernel.charDevices.register(HVC_MAJOR, 0, 1, new TtyDevice("hvc", hvc.tty));
  interrupts.attach(irq, () => hvc.handleInterrupt());
  if (consoleTty(kernel) === undefined) setConsole(kernel, hvc.tty);
  return hvc.tty;
}
