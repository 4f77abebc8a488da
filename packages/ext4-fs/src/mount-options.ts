/**
 * Mount options of ext4 as text (mount -o, /etc/fstab; ext4(5)): those that mean something here become options of the volume, those
 * that Linux knows and that change nothing here are accepted, others are refused by name.
 */
import type { VolumeOptions } from "./volume.ts";

/** Accepted without effect: the behaviour is the default here, or there is nothing to tune. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set(
  (
    "acl user_xattr barrier delalloc nodelalloc block_validity noblock_validity auto_da_alloc noauto_da_alloc journal_checksum " +
    "journal_async_commit init_itable noinit_itable dioread_lock dioread_nolock nodiscard nolazytime i_version bsddf minixdf debug " +
    "noquota nobarrier max_batch_time min_batch_time journal_ioprio stripe inode_readahead_blks " +
    "mb_optimize_scan nombcache resuid resgid nogrpid sysvgroups errors oldalloc orlov max_dir_size_kb noload norecovery"
  ).split(" "),
);

export interface ParsedMountOptions {
  readonly options: Pick<VolumeOptions, "data" | "commitInterval" | "discard" | "lazyTime" | "quotaLimits">;
  /** The first option that is not one of ext4's, or has no value it could have. */
  readonly unknown: string | undefined;
}

/** Reads a comma-separated list. */
export function parseMountOptions(text: string): ParsedMountOptions {
  let options: ParsedMountOptions["options"] = {};
  for (const option of text.split(",")) {
    const [name = "", value] = option.split("=", 2);
    const known = optionOf(name, value);
    if (known === undefined) return { options, unknown: option };
    const quotaLimits = [...(options.quotaLimits ?? []), ...(known.quotaLimits ?? [])];
    options = { ...options, ...known, ...(quotaLimits.length > 0 ? { quotaLimits } : {}) };
  }
  return { options, unknown: undefined };
}

function optionOf(name: string, value: string | undefined): ParsedMountOptions["options"] | undefined {
  switch (name) {
    case "data":
      return value === "ordered" || value === "journal" || value === "writeback" ? { data: value } : undefined;
    case "commit": {
      const seconds = /^\d+$/.test(value ?? "") ? Number(value) : Number.NaN;
      // 0 means the default (ext4(5)).
      return seconds <= 2 ** 31 ? { commitInterval: seconds === 0 ? 5 : seconds } : undefined;
    }
    case "quota":
    case "usrquota":
      return { quotaLimits: ["user"] };
    case "grpquota":
      return { quotaLimits: ["group"] };
    case "prjquota":
      return { quotaLimits: ["project"] };
    case "discard":
      return { discard: true };
    case "lazytime":
      return { lazyTime: true };
    default:
      return name === "" || WITHOUT_EFFECT.has(name) ? {} : undefined;
  }
}

/** The options that differ from the defaults, as in /proc/mounts. */
export function mountOptionsText(options: VolumeOptions): string {
  const shown: string[] = [];
  if (options.lazyTime === true) shown.push("lazytime");
  if (options.discard === true) shown.push("discard");
  const { commitInterval = 5, data = "ordered" } = options;
  if (commitInterval !== 5) shown.push(`commit=${commitInterval}`);
  if (data !== "ordered") shown.push(`data=${data}`);
  for (const [kind, name] of [
    ["user", "usrquota"],
    ["group", "grpquota"],
    ["project", "prjquota"],
  ] as const)
    if (options.quotaLimits?.includes(kind) === true) shown.push(name);
  return shown.join(",");
}
