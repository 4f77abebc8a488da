/**
 * Call frame information of a shared object (.eh_frame): how to get from a pc to the caller's registers.
 *
 * As much of DWARF as compilers emit for riscv64: the canonical frame address is a register plus an offset, registers are saved
 * at offsets from it. Where a rule is an expression the row is unknown and unwinding ends.
 *
 *   entry  length · CIE: id 0, version, augmentation, alignment factors, return register, instructions
 *                 · FDE: distance to its CIE, first address, length, instructions
 *
 * Source: LSB 5.0, 10.6; DWARF 5, 6.4.
 */

/** How to find the caller's frame at one pc. Offsets are from the canonical frame address (CFA). */
export interface FrameRow {
  /** Register and offset that give the CFA. */
  readonly cfaRegister: number;
  readonly cfaOffset: number;
  /** Where the return address is saved; null: still in ra. */
  readonly ra: number | null;
  /** Where s0 is saved; null: not changed. */
  readonly s0: number | null;
  /** There is no caller. */
  readonly outermost: boolean;
}

interface Cie {
  readonly codeAlign: number;
  readonly dataAlign: number;
  readonly encoding: number;
  readonly hasAugmentation: boolean;
  readonly start: number;
  readonly end: number;
}

interface Fde {
  readonly cie: Cie;
  readonly first: number;
  readonly last: number;
  readonly start: number;
  readonly end: number;
}

const RA = 1;
const S0 = 8;
// Pointer encodings (DW_EH_PE_*).
const PE_OMIT = 0xff;
const PE_PCREL = 0x10;

// Call frame instructions (DWARF 5, 7.24); the first three carry an operand in their low six bits.
const ADVANCE_LOC = 1;
const OFFSET = 2;
const RESTORE = 3;
const ADVANCE_LOC1 = 0x02;
const ADVANCE_LOC2 = 0x03;
const ADVANCE_LOC4 = 0x04;
const OFFSET_EXTENDED = 0x05;
const RESTORE_EXTENDED = 0x06;
const UNDEFINED = 0x07;
const SAME_VALUE = 0x08;
const REMEMBER_STATE = 0x0a;
const RESTORE_STATE = 0x0b;
const DEF_CFA = 0x0c;
const DEF_CFA_REGISTER = 0x0d;
const DEF_CFA_OFFSET = 0x0e;
const OFFSET_EXTENDED_SF = 0x11;
const DEF_CFA_SF = 0x12;
const DEF_CFA_OFFSET_SF = 0x13;
const GNU_ARGS_SIZE = 0x2e;

interface State {
  cfaRegister: number;
  cfaOffset: number;
  ra: number | null;
  s0: number | null;
  outermost: boolean;
}

export class FrameTable {
  readonly #view: DataView;
  readonly #address: number;
  /** Sorted by first address. */
  readonly #fdes: Fde[] = [];
  readonly #rows = new Map<number, FrameRow | null>();
  #at = 0;

  /** `address` is the section's own. */
  constructor(bytes: Uint8Array, address: number) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#address = address;
    try {
      this.#readEntries();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // the section ends within an entry: what came before is good
    }
    this.#fdes.sort((a, b) => a.first - b.first);
  }

  /** Address range of the function around `pc`. */
  rangeAt(pc: number): readonly [first: number, end: number] | undefined {
    const fde = this.#find(pc);
    return fde === undefined ? undefined : [fde.first, fde.last];
  }

  /** The row in force at `pc`, or null. */
  rowAt(pc: number): FrameRow | null {
    const known = this.#rows.get(pc);
    if (known !== undefined) return known;
    const fde = this.#find(pc);
    const row = fde === undefined ? null : this.#evaluate(fde, pc);
    this.#rows.set(pc, row);
    return row;
  }

  #find(pc: number): Fde | undefined {
    const list = this.#fdes;
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle].first <= pc) low = middle + 1;
      else high = middle;
    }
    const found = list[low - 1];
    return found !== undefined && pc < found.last ? found : undefined;
  }

  #readEntries(): void {
    const view = this.#view;
    const cies = new Map<number, Cie | null>();
    for (let at = 0; at + 4 <= view.byteLength; ) {
      const length = view.getUint32(at, true);
      if (length === 0 || length === 0xffff_ffff) return; // the end, or the 64-bit form, which nobody emits
      const end = at + 4 + length;
      const id = view.getUint32(at + 4, true);
      if (id === 0) cies.set(at, this.#cie(at + 8, end));
      else {
        const cie = cies.get(at + 4 - id);
        if (cie !== undefined && cie !== null) this.#fde(cie, at + 8, end);
      }
      at = end;
    }
  }

  #cie(at: number, end: number): Cie | null {
    this.#at = at;
    const version = this.#u8();
    const augmentation = this.#string();
    if (version !== 1 && version !== 3) return null;
    const codeAlign = this.#uleb();
    const dataAlign = this.#sleb();
    if (version === 1) this.#u8();
    else this.#uleb();
    let encoding = 0;
    let start = this.#at;
    if (augmentation.startsWith("z")) {
      const bytes = this.#uleb();
      start = this.#at + bytes;
      for (const letter of augmentation.slice(1)) {
        if (letter === "R") encoding = this.#u8();
        else if (letter === "L") this.#u8();
        else if (letter === "P") {
          const personality = this.#u8();
          this.#pointer(personality);
        }
      }
    } else if (augmentation !== "") return null;
    return { codeAlign, dataAlign, encoding, hasAugmentation: augmentation !== "", start, end };
  }

  #fde(cie: Cie, at: number, end: number): void {
    this.#at = at;
    const first = this.#pointer(cie.encoding);
    const byteLength = this.#pointer(cie.encoding & 15);
    if (cie.hasAugmentation) {
      const bytes = this.#uleb();
      this.#at += bytes;
    }
    if (first !== 0) this.#fdes.push({ cie, first, last: first + byteLength, start: this.#at, end });
  }

  #evaluate(fde: Fde, pc: number): FrameRow | null {
    try {
      const initial: State = { cfaRegister: 2, cfaOffset: 0, ra: null, s0: null, outermost: false };
      if (!this.#run(fde.cie, fde.cie.start, fde.cie.end, 0, Number.POSITIVE_INFINITY, initial, initial)) return null;
      const state = { ...initial };
      return this.#run(fde.cie, fde.start, fde.end, fde.first, pc, state, initial) ? state : null;
    } catch (error) {
      if (error instanceof RangeError) return null; // the instructions end too early
      throw error;
    }
  }

  /** Executes instructions up to the row of `pc`. False: something that is not understood. */
  #run(cie: Cie, start: number, end: number, first: number, pc: number, state: State, initial: State): boolean {
    const stack: State[] = [];
    let location = first;
    this.#at = start;
    while (this.#at < end) {
      const byte = this.#u8();
      const [kind, low] = [byte >> 6, byte & 63];
      if (kind === ADVANCE_LOC) location += low * cie.codeAlign;
      else if (kind === OFFSET) this.#saved(state, low, this.#uleb() * cie.dataAlign);
      else if (kind === RESTORE) restore(state, low, initial);
      else {
        switch (byte) {
          case 0:
            break;
          case ADVANCE_LOC1:
            location += this.#u8() * cie.codeAlign;
            break;
          case ADVANCE_LOC2:
            location += this.#view.getUint16((this.#at += 2) - 2, true) * cie.codeAlign;
            break;
          case ADVANCE_LOC4:
            location += this.#view.getUint32((this.#at += 4) - 4, true) * cie.codeAlign;
            break;
          case OFFSET_EXTENDED:
            this.#saved(state, this.#uleb(), this.#uleb() * cie.dataAlign);
            break;
          case OFFSET_EXTENDED_SF:
            this.#saved(state, this.#uleb(), this.#sleb() * cie.dataAlign);
            break;
          case RESTORE_EXTENDED:
            restore(state, this.#uleb(), initial);
            break;
          case UNDEFINED:
            if (this.#uleb() === RA) state.outermost = true;
            break;
          case SAME_VALUE:
            restore(state, this.#uleb(), initial);
            break;
          case REMEMBER_STATE:
            stack.push({ ...state });
            break;
          case RESTORE_STATE:
            Object.assign(state, stack.pop());
            break;
          case DEF_CFA:
            state.cfaRegister = this.#uleb();
            state.cfaOffset = this.#uleb();
            break;
          case DEF_CFA_SF:
            state.cfaRegister = this.#uleb();
            state.cfaOffset = this.#sleb() * cie.dataAlign;
            break;
          case DEF_CFA_REGISTER:
            state.cfaRegister = this.#uleb();
            break;
          case DEF_CFA_OFFSET:
            state.cfaOffset = this.#uleb();
            break;
          case DEF_CFA_OFFSET_SF:
            state.cfaOffset = this.#sleb() * cie.dataAlign;
            break;
          case GNU_ARGS_SIZE:
            this.#uleb();
            break;
          default:
            return false;
        }
      }
      if (location > pc) return true;
    }
    return true;
  }

  #saved(state: State, register: number, offset: number): void {
    if (register === RA) state.ra = offset;
    else if (register === S0) state.s0 = offset;
  }

  /** A pointer; relative ones become addresses of the object. */
  #pointer(encoding: number): number {
    if (encoding === PE_OMIT) return 0;
    const at = this.#at;
    const view = this.#view;
    let value: number;
    switch (encoding & 15) {
      case 0: // absolute
      case 4:
      case 12:
        value = view.getInt32(at + 4, true) * 4294967296 + view.getUint32(at, true);
        this.#at += 8;
        break;
      case 3:
      case 11:
        value = (encoding & 15) === 3 ? view.getUint32(at, true) : view.getInt32(at, true);
        this.#at += 4;
        break;
      case 2:
      case 10:
        value = (encoding & 15) === 2 ? view.getUint16(at, true) : view.getInt16(at, true);
        this.#at += 2;
        break;
      case 1:
        value = this.#uleb();
        break;
      default:
        value = this.#sleb();
    }
    return (encoding & 0x70) === PE_PCREL ? value + this.#address + at : value;
  }

  #u8(): number {
    return this.#view.getUint8(this.#at++);
  }
  #string(): string {
    let text = "";
    for (let byte = this.#u8(); byte !== 0; byte = this.#u8()) text += String.fromCharCode(byte);
    return text;
  }
  #uleb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#u8();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }
  #sleb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#u8();
      value += (byte & 127) * scale;
      if (byte < 128) return (byte & 64) !== 0 ? value - scale * 128 : value;
    }
  }
}

function restore(state: State, register: number, initial: State): void {
  if (register === RA) state.ra = initial.ra;
  else if (register === S0) state.s0 = initial.s0;
}
