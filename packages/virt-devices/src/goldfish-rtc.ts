/**
 * Goldfish real-time clock: nanoseconds since 1970 in two registers, and one alarm.
 *
 * Reading TIME_LOW latches the upper half for TIME_HIGH. Writing ALARM_LOW arms the alarm (write ALARM_HIGH first).
 * Nobody calls the device when time passes: whoever runs the machine calls `update`, and may sleep `nsUntilAlarm`.
 * Times are doubles: exact to 256 ns in this century.
 *
 * Reference: QEMU docs/specs, hw/rtc/goldfish_rtc.h; Linux drivers/rtc/rtc-goldfish.c.
 */
import type { AccessLength, IrqLine, MmioDevice } from "./seams.ts";

export const RTC_TIME_LOW = 0x00;
export const RTC_TIME_HIGH = 0x04;
export const RTC_ALARM_LOW = 0x08;
export const RTC_ALARM_HIGH = 0x0c;
export const RTC_IRQ_ENABLED = 0x10;
export const RTC_CLEAR_ALARM = 0x14;
export const RTC_ALARM_STATUS = 0x18;
export const RTC_CLEAR_INTERRUPT = 0x1c;
export const RTC_SIZE = 0x1000;

const TWO_POW_32 = 0x1_0000_0000;

export interface GoldfishRtcOptions {
  readonly irq: IrqLine;
  /** Nanoseconds since 1970-01-01 UTC, an integer. */
  readonly realtimeNs: () => number;
}

export class GoldfishRtc implements MmioDevice {
  readonly #irq: IrqLine;
  readonly #realtimeNs: () => number;
  /** What the guest set the clock to, relative to the host's. */
  #offsetNs = 0;
  #timeHigh = 0; // latched by a read of TIME_LOW, or written before TIME_LOW
  #alarmHigh = 0;
  #alarmNs = 0;
  #isArmed = false;
  #isIrqEnabled = false;
  #isPending = false;

  constructor(options: GoldfishRtcOptions) {
    this.#irq = options.irq;
    this.#realtimeNs = options.realtimeNs;
  }

  /** Fires the alarm if it is due. */
  update(): void {
    if (this.#isArmed && this.#now() >= this.#alarmNs) {
      this.#isArmed = false;
      this.#isPending = true;
    }
    if (this.#isPending && this.#isIrqEnabled) this.#irq.raise();
    else this.#irq.lower();
  }

  /** Nanoseconds until the alarm; 0 if due, Infinity if not armed or its interrupt is off. */
  nsUntilAlarm(): number {
    if (!this.#isArmed || !this.#isIrqEnabled) return Infinity;
    return Math.max(this.#alarmNs - this.#now(), 0);
  }

  read(offset: number, byteLength: AccessLength): number {
    if (byteLength !== 4) return 0;
    switch (offset) {
      case RTC_TIME_LOW: {
        const now = this.#now();
        this.#timeHigh = Math.floor(now / TWO_POW_32);
        return now % TWO_POW_32;
      }
      case RTC_TIME_HIGH:
        return this.#timeHigh;
      case RTC_ALARM_LOW:
        return this.#alarmNs % TWO_POW_32;
      case RTC_ALARM_HIGH:
        return this.#alarmHigh;
      case RTC_IRQ_ENABLED:
        return this.#isIrqEnabled ? 1 : 0;
      case RTC_ALARM_STATUS:
        return this.#isArmed ? 1 : 0;
      default:
        return 0;
    }
  }

  write(offset: number, byteLength: AccessLength, value: number): void {
    if (byteLength !== 4) return;
    const word = value >>> 0;
    if (offset === RTC_TIME_HIGH) this.#timeHigh = word;
    else if (offset === RTC_TIME_LOW) this.#offsetNs = this.#timeHigh * TWO_POW_32 + word - this.#realtimeNs();
    else if (offset === RTC_ALARM_HIGH) this.#alarmHigh = word;
    else if (offset === RTC_ALARM_LOW) {
      this.#alarmNs = this.#alarmHigh * TWO_POW_32 + word;
      this.#isArmed = true;
    } else if (offset === RTC_IRQ_ENABLED) this.#isIrqEnabled = (word & 1) !== 0;
    else if (offset === RTC_CLEAR_ALARM) this.#isArmed = false;
    else if (offset === RTC_CLEAR_INTERRUPT) this.#isPending = false;
    else return;
    this.update();
  }

  save(): readonly number[] {
    return [
      this.#offsetNs,
      this.#timeHigh,
      this.#alarmHigh,
      this.#alarmNs,
      this.#isArmed ? 1 : 0,
      this.#isIrqEnabled ? 1 : 0,
      this.#isPending ? 1 : 0,
    ];
  }

  restore(state: readonly number[]): void {
    [this.#offsetNs, this.#timeHigh, this.#alarmHigh, this.#alarmNs] = state;
    this.#isArmed = state[4] !== 0;
    this.#isIrqEnabled = state[5] !== 0;
    this.#isPending = state[6] !== 0;
    this.update();
  }

  #now(): number {
    return this.#realtimeNs() + this.#offsetNs;
  }
}
