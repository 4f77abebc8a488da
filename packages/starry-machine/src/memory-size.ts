/** Memory sizes as people write them. */

const SIZE = /^(\d+(?:\.\d+)?)([KMGT]?)i?B?$/i;

/** "512M" or a number of bytes → bytes, rounded up to whole pages. RangeError for text that is no size. */
export function memorySize(size: number | string): number {
  const bytes = typeof size === "number" ? size : parseSize(size);
  return Math.ceil(bytes / 4096) * 4096;
}

/** "16M", "1.5G", "4096" → bytes; suffixes K, M, G, T are powers of 1024. RangeError for anything else. */
export function parseSize(text: string): number {
  const match = SIZE.exec(text);
  const bytes = match === null ? Number.NaN : Number(match[1]) * 1024 ** " KMGT".indexOf(match[2].toUpperCase() || " ");
  if (!Number.isSafeInteger(bytes) || bytes <= 0) throw new RangeError(`"${text}" is not a size such as 512M or 2G`);
  return bytes;
}
