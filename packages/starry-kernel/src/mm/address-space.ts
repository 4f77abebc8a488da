/**
 * A program's memory: its mappings (VMAs) and the Sv39 page table that the hart walks.
 */
import type { UserMemory } from "../user-memory.ts";

export interface AddressSpace extends UserMemory {
  /** Processes that share it. */
  count: number;
}
