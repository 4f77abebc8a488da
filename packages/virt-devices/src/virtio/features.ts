/**
 * The feature bits of the specification, and what the devices here do with each. The tables of the devices lie beside them;
 * READMEs and tests read them.
 *
 * Spec: virtio 1.2 §6; the bits above 40 are of the 1.4 draft.
 */

export interface Feature {
  /** As the specification spells it, without the `VIRTIO_` that all of them have. */
  readonly name: string;
  readonly bit: number;
  /** Can a device be made to offer it? */
  readonly isOffered: boolean;
  /** When it is offered and what it does, or why it is not. */
  readonly note: string;
}

/** A row of a feature table: offered. */
export function offered(bit: number, name: string, note: string): Feature {
  return { name, bit, isOffered: true, note };
}

/** A row of a feature table: known, and never offered. */
export function absent(bit: number, name: string, note: string): Feature {
  return { name, bit, isOffered: false, note };
}

export const RING_FEATURES: readonly Feature[] = [
  offered(28, "F_INDIRECT_DESC", "unless `indirect: false`"),
  offered(29, "F_EVENT_IDX", "unless `eventIdx: false`; exact, also where indices wrap"),
  offered(32, "F_VERSION_1", "always, and needed: there is no legacy interface"),
  absent(33, "F_ACCESS_PLATFORM", "addresses are physical"),
  offered(34, "F_RING_PACKED", "with `packed: true`"),
  offered(35, "F_IN_ORDER", "with `inOrder: true`"),
  absent(36, "F_ORDER_PLATFORM", "driver and device run on one thread"),
  absent(37, "F_SR_IOV", "PCI only"),
  offered(38, "F_NOTIFICATION_DATA", "with `notificationData: true`"),
  absent(39, "F_NOTIF_CONFIG_DATA", "PCI only"),
  offered(40, "F_RING_RESET", "unless `ringReset: false`; a reset queue is silent at once"),
  absent(41, "F_ADMIN_VQ", "PCI only"),
  absent(43, "F_SUSPEND", "no suspend"),
];

/** Word 0 of the bits of `features` whose names are not in `without`. */
export function offeredMask(features: readonly Feature[], ...without: readonly string[]): number {
  let mask = 0;
  for (const { bit, isOffered, name } of features)
    if (isOffered && bit < 32 && !without.includes(name)) mask |= 1 << bit;
  return mask;
}
