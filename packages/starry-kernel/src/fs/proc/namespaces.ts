/** /proc/PID/ns: links that name the namespaces of a task (namespaces(7)). All but the mount namespace are the initial ones. */
import { EINVAL, S_IFREG } from "linux-abi";
import { SeqObject, SimpleSymlink, SpecialFsFile } from "vfs-inode/pseudofs";
import type { TaskDir } from "./task-dir.ts";

export interface NamespaceLink {
  readonly name: string;
  readonly kind: string;
  /** The initial namespace's number, as Linux numbers them (include/linux/proc_ns.h). */
  readonly ino: number;
}

const MOUNT_NAMESPACE_INO = 4026531841;

export const NAMESPACE_LINKS: readonly NamespaceLink[] = [
  { name: "cgroup", kind: "cgroup", ino: 4026531835 },
  { name: "ipc", kind: "ipc", ino: 4026531839 },
  { name: "mnt", kind: "mnt", ino: MOUNT_NAMESPACE_INO },
  { name: "net", kind: "net", ino: 4026531840 },
  { name: "pid", kind: "pid", ino: 4026531836 },
  { name: "pid_for_children", kind: "pid", ino: 4026531836 },
  { name: "time", kind: "time", ino: 4026531834 },
  { name: "time_for_children", kind: "time", ino: 4026531834 },
  { name: "user", kind: "user", ino: 4026531837 },
  { name: "uts", kind: "uts", ino: 4026531838 },
];

/** Numbers of mount namespaces other than the first begin here. */
const FIRST_DYNAMIC_INO = 4026532200;

function mountNamespaceIno(dir: TaskDir): number {
  const { namespace } = dir.task.fs;
  return namespace === dir.system.namespace ? MOUNT_NAMESPACE_INO : FIRST_DYNAMIC_INO + namespace.id;
}

/** The link; following it leads to a file that can be opened and compared, but not read. */
export function namespaceLink(dir: TaskDir, link: NamespaceLink): SimpleSymlink {
  const ino = (): number => (link.kind === "mnt" ? mountNamespaceIno(dir) : link.ino);
  return new SimpleSymlink(dir.fs, () => `${link.kind}:[${ino()}]`, {
    follow: () =>
      dir.system.anonymous.placeOf(
        `${link.kind}:[${ino()}]`,
        new SpecialFsFile(dir.system.anonymous.fs, new SeqObject(() => -EINVAL), 0o444, { ino: ino(), type: S_IFREG }),
      ),
  });
}
