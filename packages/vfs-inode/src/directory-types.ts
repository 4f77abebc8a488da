/** The DT_* type of a directory entry for a mode's S_IFMT bits: Linux's values are the type bits shifted. */
export function direntType(mode: number): number {
  return (mode >> 12) & 15;
}
