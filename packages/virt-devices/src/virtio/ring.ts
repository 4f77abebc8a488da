/** What the two ring layouts have in common for a device: see `split-ring.ts` and `packed-ring.ts`. */
import type { GuestMemory } from "../seams.ts";
import type { DescriptorChain } from "./chain.ts";

export const POP_EMPTY = 0;
export const POP_CHAIN = 1;
export const POP_BROKEN = -1;

/** The ring features that a driver accepted. */
export interface RingFeatures {
  /** VIRTIO_F_INDIRECT_DESC */
  readonly indirect: boolean;
  /** VIRTIO_F_EVENT_IDX */
  readonly eventIdx: boolean;
  /** VIRTIO_F_RING_PACKED */
  readonly packed: boolean;
}

/** Where a ring lies: RAM indices of its areas, already checked for size and alignment. */
export interface RingAreas {
  readonly descriptors: number;
  readonly driver: number;
  readonly device: number;
}

export interface RingSetup {
  readonly memory: GuestMemory;
  readonly view: DataView;
  readonly size: number;
  readonly areas: RingAreas;
  readonly features: RingFeatures;
  /** Receives what `pop` takes. */
  readonly chain: DescriptorChain;
}

export interface DeviceRing {
  /** Why `pop` answered POP_BROKEN. */
  readonly fault: string;
  /** Has the driver made chains available that were not popped yet? */
  hasMore(): boolean;
  /** Takes the next available chain: POP_CHAIN, POP_EMPTY or POP_BROKEN. */
  pop(): number;
  /** Where the next chain will be taken, for `rewind`. */
  mark(): number;
  /** Takes back all `pop`s since `mark`; none of their chains was pushed. */
  rewind(mark: number): void;
  /** Marks chain `head` used; `written` bytes from the start of its writable part hold data. */
  push(head: number, written: number): void;
  /** Tells the driver to notify again for what it adds from here on. */
  requestNotification(): void;
  /** Does the driver want an interrupt for what was pushed since the last call? */
  wantsInterrupt(): boolean;
  save(): number[];
  restore(state: readonly number[]): void;
}
