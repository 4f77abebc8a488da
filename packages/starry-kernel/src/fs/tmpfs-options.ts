/** mount(2)'s option text for tmpfs: size= nr_blocks= nr_inodes= mode= uid= gid= (tmpfs(5)). */
import { EINVAL } from "linux-abi";

export interface TmpfsMountOptions {
  size?: number;
  inodes?: number;
  mode?: number;
  uid?: number;
  gid?: number;
}

/** Options without a meaning here that programs give. */
const IGNORED = new Set(["huge", "mpol", "noswap", "inode32", "inode64", "seclabel", "context", "rw", "ro"]);
const UNITS: Readonly<Record<string, number>> = { k: 1024, m: 1 << 20, g: 1 << 30 };

/** "10%", "64m", "1024": bytes or a share of `total`; NaN if it is neither. */
function parseSize(text: string, total: number): number {
  const match = /^(\d+)([kKmMgG%]?)$/.exec(text);
  if (match === null) return Number.NaN;
  const number = Number(match[1]);
  const unit = (match[2] ?? "").toLowerCase();
  if (unit === "%") return Math.floor((total * number) / 100);
  return number * (UNITS[unit] ?? 1);
}

/** The options, or -EINVAL. `ramBytes`: what percentages refer to. */
export function tmpfsOptions(text: string, ramBytes: number): TmpfsMountOptions | number {
  const options: TmpfsMountOptions = {};
  for (const word of text.split(",")) {
    if (word === "") continue;
    const equals = word.indexOf("=");
    const key = equals < 0 ? word : word.slice(0, equals);
    const value = equals < 0 ? "" : word.slice(equals + 1);
    if (IGNORED.has(key)) continue;
    const number = key === "mode" ? Number.parseInt(value, 8) : parseSize(value, ramBytes);
    if (Number.isNaN(number)) return -EINVAL;
    if (key === "size") options.size = number === 0 ? ramBytes : number;
    else if (key === "nr_blocks") options.size = number * 4096;
    else if (key === "nr_inodes") options.inodes = number === 0 ? Number.MAX_SAFE_INTEGER : number;
    else if (key === "mode") options.mode = number & 0o7777;
    else if (key === "uid") options.uid = number;
    else if (key === "gid") options.gid = number;
    else return -EINVAL;
  }
  return options;
}
