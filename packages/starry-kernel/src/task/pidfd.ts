/**
 * pidfd: a descriptor that stands for a process (man 2 pidfd_open). Readable once the process has ended.
 */
import { POLLIN, POLLRDNORM } from "linux-abi";
import { OpenFile } from "../file.ts";
import type { Process } from "./process.ts";

export class PidFile extends OpenFile {
  readonly process: Process;

  constructor(process: Process, flags: number) {
    super(flags, process.exitEvents);
    this.process = process;
  }

  override get anonymousName(): string {
    return "anon_inode:[pidfd]";
  }

  override poll(): number {
    return this.process.zombie ? POLLIN | POLLRDNORM : 0;
  }
}
