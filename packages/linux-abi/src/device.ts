/**
 * Device numbers in the 32-bit form that stat(2) and mknod(2) use (linux/kdev_t.h `new_encode_dev`):
 * bits 0..7 minor low, 8..19 major, 20..31 minor high.
 */

/** `major` 0..4095, `minor` 0..1048575. */
export function makedev(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xfff00) << 12)) >>> 0;
}

export function major(dev: number): number {
  return (dev >>> 8) & 0xfff;
}

export function minor(dev: number): number {
  return (dev & 0xff) | ((dev >>> 12) & 0xfff00);
}
