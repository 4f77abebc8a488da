/**
 * UART 16550A, device side: byte-wide registers, FIFOs, interrupts, loopback.
 *
 * The line has no speed: transmitted bytes leave at once, so LSR always says "transmitter empty". They are collected
 * and handed to `onOutput` in batches: when the buffer is full, and when `flush` is called, which whoever runs the
 * machine does between slices. Received bytes wait in `inputLimit` bytes behind the visible FIFO.
 *
 *   offset   read              write          with LCR.DLAB
 *   0        RBR receive       THR transmit   DLL divisor low
 *   1        IER               IER            DLM divisor high
 *   2        IIR               FCR
 *   3..7     LCR MCR LSR MSR SCR
 *
 * Reference: National Semiconductor PC16550D data sheet, section 8. Not modelled: parity, framing and break, 5-bit mode.
 */
import type { AccessLength, IrqLine, MmioDevice } from "./seams.ts";

export const UART_RBR = 0;
export const UART_THR = 0;
export const UART_IER = 1;
export const UART_IIR = 2;
export const UART_FCR = 2;
export const UART_LCR = 3;
export const UART_MCR = 4;
export const UART_LSR = 5;
export const UART_MSR = 6;
export const UART_SCR = 7;
export const UART_SIZE = 0x100;

export const UART_IER_RDI = 1; // received data
export const UART_IER_THRI = 2; // transmitter holding register empty
export const UART_IER_RLSI = 4; // line status
export const UART_IER_MSI = 8; // modem status

export const UART_IIR_NO_INT = 0x01;
export const UART_IIR_MSI = 0x00;
export const UART_IIR_THRI = 0x02;
export const UART_IIR_RDI = 0x04;
export const UART_IIR_RLSI = 0x06;
export const UART_IIR_TIMEOUT = 0x0c; // bytes below the trigger level
const IIR_FIFO_ENABLED = 0xc0;

export const UART_FCR_ENABLE = 1;
export const UART_FCR_CLEAR_RECEIVE = 2;
const FCR_TRIGGER_SHIFT = 6;
const TRIGGER_LEVELS: readonly number[] = [1, 4, 8, 14];

export const UART_LCR_DLAB = 0x80;

export const UART_MCR_LOOP = 0x10;
const MCR_MASK = 0x1f;

export const UART_LSR_DR = 0x01; // data ready
export const UART_LSR_OE = 0x02; // overrun
export const UART_LSR_THRE = 0x20;
export const UART_LSR_TEMT = 0x40;

export const UART_MSR_CTS = 0x10;
export const UART_MSR_DSR = 0x20;
export const UART_MSR_RI = 0x40;
export const UART_MSR_DCD = 0x80;

export interface Uart16550Options {
  readonly irq: IrqLine;
  /** Receives what the guest prints, in order. `bytes` is reused: copy what you keep. */
  readonly onOutput: (bytes: Uint8Array) => void;
  /** Bytes collected before `onOutput` is called without `flush`. Default 4096. */
  readonly outputBatch?: number;
  /** Bytes of input kept for the guest. Default 64 KiB. */
  readonly inputLimit?: number;
  /** After `input` refused bytes: called once when half of `inputLimit` is free again. */
  readonly onInputRoom?: () => void;
}

export class Uart16550 implements MmioDevice {
  readonly #irq: IrqLine;
  readonly #onOutput: (bytes: Uint8Array) => void;
  readonly #output: Uint8Array;
  #outputCount = 0;
  readonly #input: Uint8Array;
  #inputStart = 0;
  #inputCount = 0;
  readonly #onInputRoom: () => void;
  #hasRefused = false;

  #ier = 0;
  #fcr = 0;
  #lcr = 0;
  #mcr = 0;
  #scr = 0;
  #divisorLow = 1;
  #divisorHigh = 0;
  #overrun = 0; // UART_LSR_OE or 0
  #isThrePending = false;

  constructor(options: Uart16550Options) {
    this.#irq = options.irq;
    this.#onOutput = options.onOutput;
    this.#output = new Uint8Array(options.outputBatch ?? 4096);
    this.#input = new Uint8Array(options.inputLimit ?? 65536);
    this.#onInputRoom = options.onInputRoom ?? ignore;
  }

  /** Types `bytes` into the guest. Returns how many were taken; the rest found no room. */
  input(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.#input.length - this.#inputCount);
    for (let i = 0; i < count; i++) this.#receive(bytes[i]);
    if (count < bytes.length) this.#hasRefused = true;
    this.#update();
    return count;
  }

  /** Input bytes that the guest has not read yet. */
  get pendingInput(): number {
    return this.#inputCount;
  }

  /** Hands collected output to `onOutput`. */
  flush(): void {
    if (this.#outputCount === 0) return;
    const count = this.#outputCount;
    this.#outputCount = 0;
    this.#onOutput(this.#output.subarray(0, count));
  }

  read(offset: number, byteLength: AccessLength): number {
    // Wider accesses reach one register, as on a bus that has the UART on its lowest lane.
    if (byteLength === 8) return 0;
    switch (offset) {
      case UART_RBR:
        return this.#isDlab() ? this.#divisorLow : this.#readReceive();
      case UART_IER:
        return this.#isDlab() ? this.#divisorHigh : this.#ier;
      case UART_IIR:
        return this.#readIir();
      case UART_LCR:
        return this.#lcr;
      case UART_MCR:
        return this.#mcr;
      case UART_LSR:
        return this.#readLsr();
      case UART_MSR:
        return this.#readMsr();
      case UART_SCR:
        return this.#scr;
      default:
        return 0;
    }
  }

  write(offset: number, byteLength: AccessLength, value: number): void {
    if (byteLength === 8) return;
    const byte = value & 0xff;
    switch (offset) {
      case UART_THR:
        if (this.#isDlab()) this.#divisorLow = byte;
        else this.#transmit(byte);
        break;
      case UART_IER:
        if (this.#isDlab()) this.#divisorHigh = byte;
        else this.#writeIer(byte);
        break;
      case UART_FCR:
        this.#writeFcr(byte);
        break;
      case UART_LCR:
        this.#lcr = byte;
        return;
      case UART_MCR:
        this.#mcr = byte & MCR_MASK;
        return;
      case UART_SCR:
        this.#scr = byte;
        return;
      default:
        return; // LSR and MSR are read-only
    }
    this.#update();
  }

  save(): readonly number[] {
    this.flush();
    const state = [
      this.#ier,
      this.#fcr,
      this.#lcr,
      this.#mcr,
      this.#scr,
      this.#divisorLow,
      this.#divisorHigh,
      this.#overrun,
      this.#isThrePending ? 1 : 0,
    ];
    for (let i = 0; i < this.#inputCount; i++) state.push(this.#input[(this.#inputStart + i) % this.#input.length]);
    return state;
  }

  restore(state: readonly number[]): void {
    [this.#ier, this.#fcr, this.#lcr, this.#mcr, this.#scr, this.#divisorLow, this.#divisorHigh, this.#overrun] = state;
    this.#isThrePending = state[8] !== 0;
    this.#inputStart = 0;
    this.#inputCount = Math.min(state.length - 9, this.#input.length);
    for (let i = 0; i < this.#inputCount; i++) this.#input[i] = state[9 + i];
    this.#update();
  }

  #isDlab(): boolean {
    return (this.#lcr & UART_LCR_DLAB) !== 0;
  }

  #receive(byte: number): void {
    if (this.#inputCount === this.#input.length) {
      this.#overrun = UART_LSR_OE;
      return;
    }
    this.#input[(this.#inputStart + this.#inputCount) % this.#input.length] = byte;
    this.#inputCount++;
  }

  #readReceive(): number {
    if (this.#inputCount === 0) return 0;
    const byte = this.#input[this.#inputStart];
    this.#inputStart = (this.#inputStart + 1) % this.#input.length;
    this.#inputCount--;
    this.#update();
    this.#offerRoom();
    return byte;
  }

  #offerRoom(): void {
    if (!this.#hasRefused || this.#inputCount > this.#input.length / 2) return;
    this.#hasRefused = false;
    this.#onInputRoom();
  }

  #transmit(byte: number): void {
    this.#isThrePending = true; // empty again at once
    if ((this.#mcr & UART_MCR_LOOP) !== 0) return this.#receive(byte);
    this.#output[this.#outputCount++] = byte;
    if (this.#outputCount === this.#output.length) this.flush();
  }

  #writeIer(byte: number): void {
    const next = byte & 0x0f;
    // Enabling the transmitter interrupt while the register is empty requests it at once.
    if ((next & ~this.#ier & UART_IER_THRI) !== 0) this.#isThrePending = true;
    this.#ier = next;
  }

  #writeFcr(byte: number): void {
    const isEnabled = (byte & UART_FCR_ENABLE) !== 0;
    // Switching FIFO mode clears the FIFOs, as does the clear bit.
    const toggles = isEnabled !== ((this.#fcr & UART_FCR_ENABLE) !== 0);
    if (toggles || (byte & UART_FCR_CLEAR_RECEIVE) !== 0) this.#inputCount = 0;
    this.#fcr = isEnabled ? byte & 0xc9 : 0;
    this.#offerRoom();
  }

  #readIir(): number {
    const cause = this.#cause();
    // Reading the cause ends a transmitter interrupt.
    if (cause === UART_IIR_THRI) {
      this.#isThrePending = false;
      this.#update();
    }
    return cause | ((this.#fcr & UART_FCR_ENABLE) !== 0 ? IIR_FIFO_ENABLED : 0);
  }

  #readLsr(): number {
    const status = UART_LSR_THRE | UART_LSR_TEMT | this.#overrun | (this.#inputCount > 0 ? UART_LSR_DR : 0);
    if (this.#overrun !== 0) {
      this.#overrun = 0;
      this.#update();
    }
    return status;
  }

  /** In loopback the four modem outputs come back as inputs: RTS→CTS, DTR→DSR, OUT1→RI, OUT2→DCD. */
  #readMsr(): number {
    if ((this.#mcr & UART_MCR_LOOP) === 0) return UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD;
    const dtr = this.#mcr & 1;
    const rts = (this.#mcr >> 1) & 1;
    const outputs = (this.#mcr >> 2) & 3;
    return rts * UART_MSR_CTS + dtr * UART_MSR_DSR + outputs * UART_MSR_RI;
  }

  /** The pending interrupt of highest priority, in the coding of IIR. */
  #cause(): number {
    if ((this.#ier & UART_IER_RLSI) !== 0 && this.#overrun !== 0) return UART_IIR_RLSI;
    if ((this.#ier & UART_IER_RDI) !== 0 && this.#inputCount > 0) {
      const trigger = (this.#fcr & UART_FCR_ENABLE) !== 0 ? TRIGGER_LEVELS[this.#fcr >> FCR_TRIGGER_SHIFT] : 1;
      // The character time-out is due at once: nothing is on its way while these bytes wait.
      return this.#inputCount >= trigger ? UART_IIR_RDI : UART_IIR_TIMEOUT;
    }
    if ((this.#ier & UART_IER_THRI) !== 0 && this.#isThrePending) return UART_IIR_THRI;
    return UART_IIR_NO_INT;
  }

  #update(): void {
    if (this.#cause() !== UART_IIR_NO_INT) this.#irq.raise();
    else this.#irq.lower();
  }
}

function ignore(): void {}
