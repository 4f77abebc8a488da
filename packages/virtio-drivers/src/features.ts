/**
 * The feature bits of the specification that concern every device, and what the drivers do with each. The tables of the devices
 * lie beside their drivers; negotiation, READMEs and tests read them.
 *
 * Spec: virtio 1.2 §6; the bits above 40 are of the 1.4 draft.
 */

export interface Feature {
  /** As the specification spells it, without the `VIRTIO_` that all of them have. */
  readonly name: string;
  readonly bit: number;
  /** Is it accepted when a device offers it? */
  readonly isAccepted: boolean;
  /** What it does here, or why it is not accepted. */
  readonly note: string;
  /** Bit that must be accepted too; -1 if none. */
  readonly requires: number;
}

/** A row of a feature table: accepted. */
export function accepted(bit: number, name: string, note: string, requires: number = -1): Feature {
  return { name, bit, isAccepted: true, note, requires };
}

/** A row of a feature table: known, and left alone. */
export function ignored(bit: number, name: string, note: string): Feature {
  return { name, bit, isAccepted: false, note, requires: -1 };
}

export const RING_FEATURES: readonly Feature[] = [
  accepted(28, "F_INDIRECT_DESC", "chains of more than four buffers take one descriptor"),
  accepted(29, "F_EVENT_IDX", "notifications and interrupts exactly when asked for, also where indices wrap"),
  accepted(32, "F_VERSION_1", "needed, except on a legacy transport"),
  ignored(33, "F_ACCESS_PLATFORM", "addresses are physical"),
  accepted(34, "F_RING_PACKED", "packed rings, of any size"),
  accepted(35, "F_IN_ORDER", "batches with a single used entry"),
  ignored(36, "F_ORDER_PLATFORM", "driver and device run on one thread"),
  ignored(37, "F_SR_IOV", "PCI only"),
  accepted(38, "F_NOTIFICATION_DATA", "notifications say how far the ring is filled"),
  ignored(39, "F_NOTIF_CONFIG_DATA", "PCI only"),
  accepted(40, "F_RING_RESET", "`VirtQueue.reset`, `VirtIOBlk.cancelRequests`"),
  ignored(41, "F_ADMIN_VQ", "PCI only"),
  ignored(43, "F_SUSPEND", "no suspend"),
];

/** Bits 32*word … 32*word+31 of the accepted features, as a signed word. */
export function acceptedMask(features: readonly Feature[], word: number): number {
  let mask = 0;
  for (const { bit, isAccepted } of features) if (isAccepted && bit >> 5 === word) mask |= 1 << (bit & 31);
  return mask;
}

/** `low` without the features of word 0 that require one which is not in it (§2.2.1). */
export function withoutUnmet(features: readonly Feature[], low: number): number {
  for (const { bit, requires } of features) {
    if (requires >= 0 && (low & (1 << requires)) === 0) low &= ~(1 << bit);
  }
  return low;
}
