/** 64-bit fields of structures in the kernel's scratch area, as numbers exact to 2^53. */

/** Stores a whole number (negative ones in two's complement). */
export function putI64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value, true);
  view.setInt32(at + 4, Math.floor(value / 4294967296), true);
}

export function getI64(view: DataView, at: number): number {
  return view.getInt32(at + 4, true) * 4294967296 + view.getUint32(at, true);
}
