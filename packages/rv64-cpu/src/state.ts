/**
 * Layout of the hart's own area at the front of its WebAssembly.Memory; guest RAM follows it.
 *
 *   0x0000  x0..x31, f0..f31, then the scalar slots below
 *   0x1000  TLB banks: per bank READ, WRITE and EXEC arrays of TLB_ENTRIES x 16 bytes
 *           { i64 tag = virtual page address, or -1; i32 value; i32 page }
 *           READ/WRITE value: memory offset of the page minus the low 32 bits of its virtual address
 *           EXEC value: memory offset of the decoded page
 *           page: memory offset of the physical page
 *   ...     one scratch decoded page for an instruction that crosses a page boundary
 *   ...     decoded pages, DECODED_STRIDE bytes each
 *   ...     u16 per RAM frame: decoded page number + 1, or 0
 *   ...     entry descriptors of compiled code, ENTRY_BYTES each
 *   ramOffset  guest RAM (64 KiB aligned)
 *
 * A decoded page has one 16-byte record per 2 bytes of code, and two sentinels:
 *   { u16 op, u16 rd, u16 rs1, u16 rs2: byte offsets of registers in this area; i32 imm; u16 rs3; u8 rm; u8 length }
 */
export const STATE_X = 0x000;
export const STATE_F = 0x100;
/** Where writes to x0 go. */
export const STATE_SINK = 0x200;
export const STATE_PC = 0x208;
export const STATE_TRAP_VALUE = 0x210;
export const STATE_TRAP_CAUSE = 0x218;
/** Unused part of the fuel of the last run. */
export const STATE_FUEL = 0x21c;
export const STATE_FFLAGS = 0x220;
export const STATE_FRM = 0x224;
/** One of FP_*: whether plain wasm arithmetic has the right result and flags under the dynamic rounding mode. */
export const STATE_FP_FAST = 0x228;
/** frm is not RNE: never. */
export const FP_SLOW = 0;
/** RNE, and NX is already set: rounding changes nothing. */
export const FP_RNE_INEXACT = 1;
/** RNE, and NX is clear: only if the result is exact. */
export const FP_RNE_EXACT = 2;
/** Memory offset of the TLB bank in use. */
export const STATE_TLB = 0x22c;
/** Address of the LR reservation, or -1. */
export const STATE_RESERVATION = 0x230;
export const STATE_RESERVED_VALUE = 0x238;
// Operands and result of helpers, and the value of a slow load or store.
export const STATE_A = 0x240;
export const STATE_B = 0x248;
export const STATE_C = 0x250;
export const STATE_RESULT = 0x258;
/** 0 while mstatus.FS is Off and floating-point instructions are illegal. */
export const STATE_FS = 0x260;
/** Number of the present mapping of addresses: changes with the address space and with every TLB flush. Never 0. */
export const STATE_EPOCH = 0x264;
/** For the page walk in wasm: memory offset of the root table (0: ask the host), and (pte & CARE) == VALUE of a usable leaf. */
export const STATE_WALK_ROOT = 0x268;
export const STATE_WALK_READ_CARE = 0x26c;
export const STATE_WALK_READ_VALUE = 0x270;
export const STATE_WALK_WRITE_CARE = 0x274;
export const STATE_WALK_WRITE_VALUE = 0x278;
/** 1 once a hart has used the memory: the next one has to clear what it left. */
export const STATE_USED = 0x27c;
/** i64: instructions retired by compiled code. */
export const STATE_COMPILED = 0x280;
/** Indirect jumps out of compiled code. */
export const STATE_MISSES = 0x288;
// Why and where an access in compiled code left it: REGION_*, distance of the pc from the entry, instructions of the block before.
export const STATE_LEAVE_STATUS = 0x290;
export const STATE_LEAVE_DELTA = 0x294;
export const STATE_LEAVE_DONE = 0x298;
/**
 * For compiled code: a result is as it should be if twice its upper (of a single: its) 32 bits, less FP_OFFSET_*, are below
 * this, as unsigned numbers. 0 if rounding is not as in STATE_FP_FAST = FP_RNE_INEXACT. For CHECK_NORMAL and CHECK_FINITE.
 */
export const STATE_FP_NORMAL_D = 0x29c;
export const STATE_FP_FINITE_D = 0x2a0;
export const STATE_FP_NORMAL_S = 0x2a4;
export const STATE_FP_FINITE_S = 0x2a8;
/** Of the second smallest exponent. */
export const FP_OFFSET_D = 0x0040_0000;
export const FP_OFFSET_S = 0x0200_0000;
export const FP_INFINITY_D = 0xffe0_0000;
export const FP_INFINITY_S = 0xff00_0000;
/** Changes whenever a page may be mapped otherwise than before, or no longer be written without asking. */
export const STATE_RUNS_EPOCH = 0x2ac;
/** Up to here the state is cleared for a new hart. */
export const STATE_END = 0x2b0;
/**
 * Runs of neighbouring pages, of the guest and of the host, that loops remember, one for each pointer: { i64 address of the first
 * page; i64 addresses from there that hit, 0 for none; i32 host address - address }. Locals would not do: engines move what a
 * loop may change at every turn. A region has a set of them, which are good while the set's tag says so: { i32 STATE_RUNS_EPOCH;
 * i32 number of the region }. There are so many sets that hot regions hardly ever take one from each other.
 */
export const RUN_LIMIT = 8;
export const RUN_DISTANCE = 16;
export const RUN_BYTES = 32;
export const RUNS_PER_REGION = 15;
export const RUNS_TAG: number = RUNS_PER_REGION * RUN_BYTES;
export const RUNS_SET_BYTES: number = RUNS_TAG + RUN_BYTES;
export const RUNS_SETS = 256;

export const TLB_ENTRIES = 1024;
export const TLB_ENTRY_BYTES = 16;
export const TLB_ARRAY_BYTES: number = TLB_ENTRIES * TLB_ENTRY_BYTES;
export const TLB_READ = 0;
export const TLB_WRITE: number = TLB_ARRAY_BYTES;
export const TLB_EXEC: number = TLB_ARRAY_BYTES * 2;
export const TLB_BANK_BYTES: number = TLB_ARRAY_BYTES * 3;
export const TLB_BANKS = 4;
export const TLB_BASE = 0x1000;

export const RECORD_BYTES = 16;
/** 2048 records, two sentinels, and padding that spreads pages over cache sets. */
export const DECODED_STRIDE: number = 2048 * RECORD_BYTES + 64;
export const CROSS_PAGE: number = TLB_BASE + TLB_BANKS * TLB_BANK_BYTES;
export const DECODED_BASE: number = CROSS_PAGE + 64;

// Fields of a record.
export const RECORD_OP = 0;
export const RECORD_RD = 2;
export const RECORD_RS1 = 4;
export const RECORD_RS2 = 6;
export const RECORD_IMM = 8;
export const RECORD_RS3 = 12;
export const RECORD_RM = 14;
export const RECORD_LENGTH = 15;

/**
 * An entry into compiled code: the record of its first instruction in a form that can run from here, two sentinels, then
 *   +48 i32 epoch for which its pages were checked, or 0 if it depends on no other page; +52 i32 table slot;
 *   +56 i32 how often a loop's pointer was in another run of pages than remembered, or, of code that calls, how far from
 *   the entry its indirect call went last; +60 i32 how often it was left for an access across pages
 */
export const ENTRY_BYTES = 64;
export const ENTRY_EPOCH = 48;
export const ENTRY_SLOT = 52;
export const ENTRY_STRAYS = 56;
export const ENTRY_CALLED = 56;
export const ENTRY_DECLINES = 60;
export const ENTRY_COUNT = 16384;

/** Counters (u16) of the places at which compiled code was left, by pc / 2 modulo their number; behind the entries. */
export const EXIT_COUNTERS = 8192;

/** Where compiled code goes on, by pc: { i64 pc; i32 epoch; i32 table slot }, direct-mapped, behind the counters. */
export const JUMP_CACHE_ENTRIES = 4096;
