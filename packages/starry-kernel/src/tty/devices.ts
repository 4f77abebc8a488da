/**
 * The terminal device nodes that stand for another terminal: /dev/tty (the caller's own) and /dev/console; and plain ones.
 */
import { ENODEV, ENXIO } from "linux-abi";
import type { OpenFile } from "../file.ts";
import type { Kernel } from "../kernel.ts";
import type { CharDevice } from "../registries.ts";
import type { Task } from "../task/task.ts";
import { openTty } from "./open-tty.ts";
import { Tty } from "./tty.ts";

/** 5:0 */
export class ControllingTtyDevice implements CharDevice {
  readonly name = "/dev/tty";

  open(task: Task, _rdev: number, flags: number): OpenFile | number {
    const terminal = task.process.session.terminal;
    return terminal instanceof Tty ? openTty(task, terminal, flags, false) : -ENXIO;
  }
}

const $consoles = new WeakMap<Kernel, Tty>();

/** The terminal behind /dev/console, or undefined while there is none. */
export function consoleTty(kernel: Kernel): Tty | undefined {
  return $consoles.get(kernel);
}

/** Chooses the terminal behind /dev/console. */
export function setConsole(kernel: Kernel, tty: Tty): void {
  $consoles.set(kernel, tty);
}

/** 5:1 */
export class ConsoleDevice implements CharDevice {
  readonly name = "/dev/console";

  open(task: Task, _rdev: number, flags: number): OpenFile | number {
    const tty = consoleTty(task.kernel);
    return tty === undefined ? -ENODEV : openTty(task, tty, flags, false);
  }
}

/** A terminal with a device number of its own. */
export class TtyDevice implements CharDevice {
  readonly name: string;
  readonly #tty: Tty;

  /** `name` as in /proc/devices: "ttyS". */
  constructor(name: string, tty: Tty) {
    this.name = name;
    this.#tty = tty;
  }

  open(task: Task, _rdev: number, flags: number): OpenFile | number {
    return openTty(task, this.#tty, flags, true);
  }
}
