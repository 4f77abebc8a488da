/**
 * One CPU's ring of trace records, in the byte layout of Linux's own ring buffer.
 *
 * The ring is a circle of 4096-byte sub-buffers:
 *
 *   0  u64 time of the first event (ns)   8  u64 commit: bytes of data   16  events
 *   event = u32 type_len:5 | time_delta:27, then
 *     type_len 1..28  payload of 4 × type_len bytes
 *     type_len 0      u32 length (its own 4 bytes included), payload
 *     type_len 30     time extend: u32 = delta >> 27
 *
 * so `trace`, `trace_pipe`, `trace_pipe_raw`, perf and trace.dat share one encoder. Pushing allocates nothing and costs the same however
 * full the ring is: when it is full, the oldest sub-buffer goes as a whole (`overrun`), or, without overwrite, the new record (`droppedEvents`).
 * A payload is padded with zeros to 4 bytes.
 *
 * Source: Linux include/linux/ring_buffer.h, kernel/trace/ring_buffer.c; the text of events/header_page and header_event.
 */

/** Bytes of a sub-buffer, header included. */
export const SUB_BUFFER_SIZE = 4096;
const PAGE_HEADER_SIZE = 16;
/** Bytes of data a sub-buffer holds. */
export const SUB_BUFFER_DATA_SIZE: number = SUB_BUFFER_SIZE - PAGE_HEADER_SIZE;

const TYPE_LEN_DATA_MAX = 28;
const TYPE_PADDING = 29;
const TYPE_TIME_EXTEND = 30;
const TYPE_TIME_STAMP = 31;
const SMALL_DATA_MAX = TYPE_LEN_DATA_MAX * 4;
const MAX_DELTA = 2 ** 27; // ns, first delta that needs a time extend
const TWO_32 = 4294967296;
/** Flags in `commit` of a sub-buffer that is read out: records were lost before it; their number follows the data. */
const COMMIT_MISSED_EVENTS = 0x8000_0000;
const COMMIT_MISSED_STORED = 0x4000_0000;

/** Longest record: alone in a sub-buffer. */
export const MAX_PAYLOAD_SIZE: number = SUB_BUFFER_DATA_SIZE - 8;

/** A reading position that decodes events one by one, without consuming them. */
export class RingCursor {
  /** Sequence number of the sub-buffer, from 0 over the ring's life. */
  sequence: number = 0;
  /** Offset of the next event within it. */
  offset: number = PAGE_HEADER_SIZE;
  /** Time of the event before it, ns. */
  time: number = 0;
  // The event that `RingBuffer.decode` found.
  recordOffset: number = 0;
  recordLength: number = 0;
  recordTime: number = 0;
  /** Offset behind it, within the sub-buffer. */
  recordEnd: number = 0;
}

export interface RingBufferOptions {
  /** Memory for sub-buffers, in bytes; rounded up to whole sub-buffers, at least 2. Default: Linux's 1408 KiB. */
  readonly byteBudget?: number;
  /** Full ring: drop the oldest (true, the default) or refuse the newest. */
  readonly overwrite?: boolean;
}

export const DEFAULT_BYTE_BUDGET: number = 1408 * 1024;

/** Sub-buffers allocated at first; memory doubles as they fill up, until the budget is reached. */
const FIRST_PAGES = 16;

export class RingBuffer {
  readonly byteBudget: number;
  readonly pageCount: number;
  overwrite: boolean;
  // Allocated at the first push, and grown: an idle machine should not pay for its rings.
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  #pageEntries: Int32Array = new Int32Array(0);
  // Reader: the oldest event not yet consumed.
  readonly #head = new RingCursor();
  // Writer.
  #tailSequence = 0;
  #tailOffset = PAGE_HEADER_SIZE;
  #tailTime = 0;
  #entries = 0;
  /** Records lost because the ring was full and overwrote them. */
  overrun: number = 0;
  /** Records refused because the ring was full (overwrite off) or the record too long. */
  droppedEvents: number = 0;
  /** Records consumed by a reader. */
  readEvents: number = 0;
  /** Records lost since the reader last took something. */
  lostEvents: number = 0;

  constructor(options: RingBufferOptions = {}) {
    const budget = options.byteBudget ?? DEFAULT_BYTE_BUDGET;
    if (!(budget > 0 && budget <= 2 ** 31)) throw new RangeError(`"byteBudget" expected 1..2^31 bytes, got ${budget}`);
    this.byteBudget = budget;
    this.pageCount = Math.max(2, Math.ceil(budget / SUB_BUFFER_DATA_SIZE));
    this.overwrite = options.overwrite ?? true;
  }

  /** Records waiting to be read. */
  get entries(): number {
    return this.#entries;
  }

  get isEmpty(): boolean {
    return this.#entries === 0;
  }

  /** Bytes of event data held. */
  get bytesUsed(): number {
    if (this.#bytes.length === 0) return 0;
    let total = -(this.#head.offset - PAGE_HEADER_SIZE);
    for (let sequence = this.#head.sequence; sequence <= this.#tailSequence; sequence++)
      total += this.#commitOf(sequence);
    return total;
  }

  /** Gives the ring memory for `pages` sub-buffers; what is there stays. Only before the ring has gone round once. */
  #allocate(pages: number): void {
    const bytes = new Uint8Array(pages * SUB_BUFFER_SIZE);
    const entries = new Int32Array(pages);
    bytes.set(this.#bytes);
    entries.set(this.#pageEntries);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
    this.#pageEntries = entries;
  }

  #base(sequence: number): number {
    return (sequence % this.pageCount) * SUB_BUFFER_SIZE;
  }

  #commitOf(sequence: number): number {
    return this.#view.getUint32(this.#base(sequence) + 8, true);
  }

  #timeOf(sequence: number): number {
    const base = this.#base(sequence);
    return this.#view.getUint32(base + 4, true) * TWO_32 + this.#view.getUint32(base, true);
  }

  /** Sequence number of the sub-buffer in which unread data begins. */
  get firstSequence(): number {
    return this.#head.sequence;
  }

  /** Sequence number of the sub-buffer that is being written. */
  get lastSequence(): number {
    return this.#tailSequence;
  }

  /** Adds a record at `timeNs` (never before the last one). False if it was dropped. */
  push(timeNs: number, record: Uint8Array): boolean {
    if (this.#bytes.length === 0) this.#allocate(Math.min(FIRST_PAGES, this.pageCount));
    const length = record.length;
    const words = (length + 3) >> 2 || 1;
    const size = words * 4 > SMALL_DATA_MAX ? 8 + words * 4 : 4 + words * 4;
    if (size > SUB_BUFFER_DATA_SIZE) return this.#drop();
    const time = timeNs > this.#tailTime ? Math.floor(timeNs) : this.#tailTime;
    let delta = time - this.#tailTime;
    const isFirst = this.#tailOffset === PAGE_HEADER_SIZE;
    if (isFirst) delta = 0;
    const extend = delta >= MAX_DELTA ? 8 : 0;
    if (this.#tailOffset + extend + size > SUB_BUFFER_SIZE) {
      if (!this.#advance()) return this.#drop();
      delta = 0;
    }
    const view = this.#view;
    const base = this.#base(this.#tailSequence);
    if (this.#tailOffset === PAGE_HEADER_SIZE) {
      view.setUint32(base, time, true);
      view.setUint32(base + 4, Math.floor(time / TWO_32), true);
      delta = 0;
    }
    let at = base + this.#tailOffset;
    if (delta >= MAX_DELTA) {
      const high = Math.floor(delta / MAX_DELTA);
      delta -= high * MAX_DELTA;
      view.setUint32(at, (delta << 5) | TYPE_TIME_EXTEND, true);
      view.setUint32(at + 4, high, true);
      at += 8;
      delta = 0;
    }
    if (words * 4 > SMALL_DATA_MAX) {
      view.setUint32(at, delta << 5, true);
      view.setUint32(at + 4, words * 4 + 4, true);
      at += 8;
    } else {
      view.setUint32(at, (delta << 5) | words, true);
      at += 4;
    }
    const bytes = this.#bytes;
    view.setUint32(at + words * 4 - 4, 0, true); // padding
    bytes.set(record, at);
    at += words * 4;
    this.#tailOffset = at - base;
    this.#tailTime = time;
    view.setUint32(base + 8, this.#tailOffset - PAGE_HEADER_SIZE, true);
    this.#pageEntries[this.#tailSequence % this.pageCount]!++;
    this.#entries++;
    return true;
  }

  #drop(): false {
    this.droppedEvents++;
    return false;
  }

  /** Moves the writer to the next sub-buffer. False when the ring is full and may not overwrite. */
  #advance(): boolean {
    const head = this.#head;
    while (head.sequence < this.#tailSequence && this.#pageEntries[head.sequence % this.pageCount] === 0)
      this.#enterPage(head, head.sequence + 1);
    if (this.#tailSequence + 1 - head.sequence >= this.pageCount) {
      if (!this.overwrite) return false;
      const lost = this.#pageEntries[head.sequence % this.pageCount]!;
      this.overrun += lost;
      this.lostEvents += lost;
      this.#entries -= lost;
      this.#enterPage(head, head.sequence + 1);
    }
    this.#tailSequence++;
    const pages = this.#pageEntries.length;
    if (this.#tailSequence >= pages && pages < this.pageCount) this.#allocate(Math.min(pages * 2, this.pageCount));
    this.#resetTail();
    return true;
  }

  #resetTail(): void {
    const slot = this.#tailSequence % this.pageCount;
    this.#tailOffset = PAGE_HEADER_SIZE;
    this.#pageEntries[slot] = 0;
    this.#view.setUint32(slot * SUB_BUFFER_SIZE + 8, 0, true);
    this.#view.setUint32(slot * SUB_BUFFER_SIZE + 12, 0, true);
  }

  #enterPage(cursor: RingCursor, sequence: number): void {
    cursor.sequence = sequence;
    cursor.offset = PAGE_HEADER_SIZE;
    cursor.time = this.#timeOf(sequence);
  }

  /** A cursor at the oldest unread event. */
  cursor(): RingCursor {
    const cursor = new RingCursor();
    cursor.sequence = this.#head.sequence;
    cursor.offset = this.#head.offset;
    cursor.time = this.#head.time;
    return cursor;
  }

  /** Finds the event at the cursor and fills its record fields; false at the end. A cursor that was overtaken starts over at the oldest. */
  decode(cursor: RingCursor): boolean {
    if (this.#entries === 0) return false;
    const head = this.#head;
    if (cursor.sequence < head.sequence || (cursor.sequence === head.sequence && cursor.offset < head.offset)) {
      cursor.sequence = head.sequence;
      cursor.offset = head.offset;
      cursor.time = head.time;
    }
    const view = this.#view;
    for (;;) {
      if (cursor.offset - PAGE_HEADER_SIZE >= this.#commitOf(cursor.sequence)) {
        if (cursor.sequence >= this.#tailSequence) return false;
        this.#enterPage(cursor, cursor.sequence + 1);
        continue;
      }
      if (cursor.offset === PAGE_HEADER_SIZE) cursor.time = this.#timeOf(cursor.sequence);
      const base = this.#base(cursor.sequence);
      const word = view.getUint32(base + cursor.offset, true);
      const type = word & 31;
      const time = cursor.time + (word >>> 5);
      if (type === TYPE_TIME_EXTEND) {
        cursor.time = time + view.getUint32(base + cursor.offset + 4, true) * MAX_DELTA;
        cursor.offset += 8;
        continue;
      }
      const header = type === 0 ? 8 : 4;
      cursor.recordLength = type === 0 ? view.getUint32(base + cursor.offset + 4, true) - 4 : type * 4;
      cursor.recordOffset = base + cursor.offset + header;
      cursor.recordTime = time;
      cursor.recordEnd = cursor.offset + header + cursor.recordLength;
      return true;
    }
  }

  /** Moves a cursor behind the event that `decode` found. */
  skip(cursor: RingCursor): void {
    cursor.offset = cursor.recordEnd;
    cursor.time = cursor.recordTime;
  }

  /** The bytes of the record a cursor stands on: a view that stays valid until the ring overwrites it. */
  recordAt(cursor: RingCursor): Uint8Array {
    return this.#bytes.subarray(cursor.recordOffset, cursor.recordOffset + cursor.recordLength);
  }

  /** Finds the oldest record (see `recordAt(headCursor)`); false if there is none. */
  peek(): boolean {
    return this.decode(this.#head);
  }

  get headCursor(): RingCursor {
    return this.#head;
  }

  /** Consumes the oldest record. False if there was none. */
  pop(): boolean {
    if (!this.#takeHead()) return false;
    this.readEvents++;
    this.lostEvents = 0;
    return true;
  }

  /** Drops the oldest record as overrun: how a bound on the number of records is kept. */
  dropOldest(): boolean {
    if (!this.#takeHead()) return false;
    this.overrun++;
    this.lostEvents++;
    return true;
  }

  #takeHead(): boolean {
    if (!this.decode(this.#head)) return false;
    this.#pageEntries[this.#head.sequence % this.pageCount]!--;
    this.skip(this.#head);
    this.#entries--;
    return true;
  }

  /** Empties the ring and resets its counters. */
  clear(): void {
    this.#head.sequence = 0;
    this.#head.offset = PAGE_HEADER_SIZE;
    this.#head.time = 0;
    this.#tailSequence = 0;
    this.#tailTime = 0;
    this.#entries = 0;
    this.overrun = 0;
    this.droppedEvents = 0;
    this.readEvents = 0;
    this.lostEvents = 0;
    if (this.#bytes.length > 0) this.#resetTail();
    else this.#tailOffset = PAGE_HEADER_SIZE;
  }

  /** A copy that later pushes do not change. Copies only the sub-buffers in use. */
  snapshot(): RingBuffer {
    const copy = new RingBuffer({
      byteBudget: Math.max(1, (this.#tailSequence - this.#head.sequence + 1) * SUB_BUFFER_DATA_SIZE),
      overwrite: this.overwrite,
    });
    copy.overrun = this.overrun;
    copy.droppedEvents = this.droppedEvents;
    copy.readEvents = this.readEvents;
    copy.lostEvents = this.lostEvents;
    if (this.#entries === 0) return copy;
    copy.#allocate(copy.pageCount);
    const first = this.#head.sequence;
    for (let sequence = first; sequence <= this.#tailSequence; sequence++) {
      const from = this.#base(sequence);
      copy.#bytes.set(this.#bytes.subarray(from, from + SUB_BUFFER_SIZE), (sequence - first) * SUB_BUFFER_SIZE);
      copy.#pageEntries[sequence - first] = this.#pageEntries[sequence % this.pageCount]!;
    }
    copy.#head.offset = this.#head.offset;
    copy.#head.time = this.#head.time;
    copy.#tailSequence = this.#tailSequence - first;
    copy.#tailOffset = this.#tailOffset;
    copy.#tailTime = this.#tailTime;
    copy.#entries = this.#entries;
    return copy;
  }

  /**
   * Copies the unread part of a sub-buffer to `out` (SUB_BUFFER_SIZE bytes): header with the time before its first event, flags and
   * count of records lost before it, data. False if it holds nothing to read.
   */
  copyPage(sequence: number, out: Uint8Array): boolean {
    if (!this.decode(this.#head)) return false;
    const head = this.#head;
    if (sequence < head.sequence || sequence > this.#tailSequence) return false;
    const first = sequence === head.sequence;
    const base = this.#base(sequence);
    const start = first ? head.offset : PAGE_HEADER_SIZE;
    const end = PAGE_HEADER_SIZE + this.#commitOf(sequence);
    if (start >= end) return false;
    out.fill(0, 0, SUB_BUFFER_SIZE);
    out.set(this.#bytes.subarray(base + start, base + end), PAGE_HEADER_SIZE);
    let commit = end - start;
    if (first && this.lostEvents > 0) {
      if (commit + 8 <= SUB_BUFFER_DATA_SIZE) {
        writeU64(out, PAGE_HEADER_SIZE + commit, this.lostEvents);
        commit += COMMIT_MISSED_STORED;
      }
      commit += COMMIT_MISSED_EVENTS;
    }
    writeU64(out, 0, first ? head.time : this.#timeOf(sequence));
    writeU64(out, 8, commit);
    return true;
  }

  /**
   * Takes the oldest sub-buffer out whole, as `trace_pipe_raw` hands it out (see `copyPage`).
   * Returns SUB_BUFFER_SIZE, or 0 when the ring is empty.
   */
  readPage(out: Uint8Array): number {
    const head = this.#head;
    if (!this.decode(head) || !this.copyPage(head.sequence, out)) return 0;
    const slot = head.sequence % this.pageCount;
    this.readEvents += this.#pageEntries[slot]!;
    this.#entries -= this.#pageEntries[slot]!;
    this.#pageEntries[slot] = 0;
    this.lostEvents = 0;
    if (head.sequence < this.#tailSequence) this.#enterPage(head, head.sequence + 1);
    else {
      head.offset = PAGE_HEADER_SIZE;
      this.#resetTail();
    }
    return SUB_BUFFER_SIZE;
  }

  /** Time of the oldest unread record in ns, or −1. */
  oldestTime(): number {
    return this.peek() ? this.#head.recordTime : -1;
  }
}

function writeU64(out: Uint8Array, offset: number, value: number): void {
  let rest = value;
  for (let i = 0; i < 8; i++) {
    out[offset + i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}

/** Text of events/header_page. */
export const HEADER_PAGE_TEXT: string =
  "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n" +
  "\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n" +
  "\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n" +
  "\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;\n";

/** Text of events/header_event. */
export const HEADER_EVENT_TEXT: string =
  "# compressed entry header\n" +
  "\ttype_len    :    5 bits\n" +
  "\ttime_delta  :   27 bits\n" +
  "\tarray       :   32 bits\n" +
  "\n" +
  `\tpadding     : type == ${TYPE_PADDING}\n` +
  `\ttime_extend : type == ${TYPE_TIME_EXTEND}\n` +
  `\ttime_stamp : type == ${TYPE_TIME_STAMP}\n` +
  `\tdata max type_len  == ${TYPE_LEN_DATA_MAX}\n`;
