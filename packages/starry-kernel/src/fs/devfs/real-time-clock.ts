/** /dev/rtc0 (rtc(4)): the wall clock, in UTC. It can be read; setting the host's clock is refused. */
import { EACCES, ENOTTY } from "linux-abi";
import { OpenFile } from "../../file.ts";
import type { Kernel } from "../../kernel.ts";
import type { CharDevice } from "../../registries.ts";
import type { Task } from "../../task/task.ts";

/** Linux takes a dynamic major for it; 253 is the first that the disks leave. */
export const RTC_MAJOR = 253;

// linux/rtc.h
const RTC_RD_TIME = 0x80247009;
const RTC_SET_TIME = 0x4024700a;
/** struct rtc_time: nine ints. */
const RTC_TIME_SIZE = 36;

export class RealTimeClock implements CharDevice {
  readonly name = "rtc";
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  open(_task: Task, _rdev: number, flags: number): OpenFile {
    return new RealTimeClockFile(this.#kernel, flags);
  }
}

class RealTimeClockFile extends OpenFile {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel, flags: number) {
    super(flags);
    this.#kernel = kernel;
  }

  override poll(): number {
    return 0; // no alarms and no update interrupts
  }

  override ioctl(task: Task, request: number, argument: number): number {
    if (request === RTC_SET_TIME) return -EACCES;
    if (request !== RTC_RD_TIME) return -ENOTTY;
    const date = new Date(this.#kernel.clock.realtimeSec() * 1000);
    const view = task.memory.scratch;
    const fields = [
      date.getUTCSeconds(),
      date.getUTCMinutes(),
      date.getUTCHours(),
      date.getUTCDate(),
      date.getUTCMonth(),
      date.getUTCFullYear() - 1900,
      0, // the kernel leaves weekday and day of the year
      0,
      0,
    ];
    for (let i = 0; i < fields.length; i++) view.setInt32(4 * i, fields[i] as number, true);
    return task.memory.store(argument, RTC_TIME_SIZE);
  }
}
