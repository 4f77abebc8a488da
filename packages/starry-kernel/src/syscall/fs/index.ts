/** All file system calls. */
import type { SyscallRow } from "../row.ts";
import { ACCESS_CALLS } from "./access.ts";
import { ATTRIBUTE_CALLS } from "./attributes.ts";
import { DIRECTORY_CONTEXT_CALLS } from "./cwd.ts";
import { DIRECTORY_CALLS } from "./directory.ts";
import { FCNTL_CALLS } from "./fcntl.ts";
import { INOTIFY_CALLS } from "./inotify.ts";
import { IOCTL_CALLS } from "./ioctl.ts";
import { MOUNT_CALLS } from "./mount.ts";
import { NAME_CALLS } from "./names.ts";
import { OPEN_CALLS } from "./open.ts";
import { PIPE_TRANSFER_CALLS } from "./pipe-transfer.ts";
import { LOCK_CALLS } from "./record-locks.ts";
import { QUOTA_CALLS } from "./quota.ts";
import { SIZE_CALLS } from "./size.ts";
import { STAT_CALLS } from "./stat.ts";
import { SYNC_CALLS } from "./sync.ts";
import { TRANSFER_CALLS } from "./transfer.ts";
import { XATTR_CALLS } from "./xattr.ts";

export const FS_CALLS: readonly SyscallRow[] = [
  ...OPEN_CALLS,
  ...STAT_CALLS,
  ...DIRECTORY_CALLS,
  ...ACCESS_CALLS,
  ...NAME_CALLS,
  ...ATTRIBUTE_CALLS,
  ...SIZE_CALLS,
  ...SYNC_CALLS,
  ...TRANSFER_CALLS,
  ...PIPE_TRANSFER_CALLS,
  ...DIRECTORY_CONTEXT_CALLS,
  ...MOUNT_CALLS,
  ...XATTR_CALLS,
  ...LOCK_CALLS,
  ...FCNTL_CALLS,
  ...IOCTL_CALLS,
  ...INOTIFY_CALLS,
  ...QUOTA_CALLS,
];
