/**
 * The texts of /proc/self/mounts (fstab format, proc_pid_mounts(5)) and /proc/self/mountinfo (proc_pid_mountinfo(5)).
 */
import {
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_RDONLY,
  MS_RELATIME,
  MS_SYNCHRONOUS,
} from "linux-abi";
import type { Dentry } from "./dentry.ts";
import type { Mount, MountNamespace } from "./mount.ts";
import { type Path, describePath } from "./path.ts";

const FLAG_NAMES: readonly (readonly [number, string])[] = [
  [MS_NOSUID, "nosuid"],
  [MS_NODEV, "nodev"],
  [MS_NOEXEC, "noexec"],
  [MS_NOATIME, "noatime"],
  [MS_NODIRATIME, "nodiratime"],
  [MS_RELATIME, "relatime"],
  [MS_NOSYMFOLLOW, "nosymfollow"],
];

/** Space, tab, newline and backslash as octal, as the kernel's seq_path escapes them. */
export function escapeMountText(text: string): string {
  return text.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
}

function perMountOptions(mount: Mount, readOnly: boolean): string {
  let text = readOnly ? "ro" : "rw";
  for (const [bit, name] of FLAG_NAMES) if ((mount.flags & bit) !== 0) text += `,${name}`;
  return text;
}

function superOptions(mount: Mount, readOnly: boolean): string {
  const own = mount.fs.mountOptions();
  let text = readOnly ? "ro" : "rw";
  if ((mount.flags & MS_SYNCHRONOUS) !== 0) text += ",sync";
  return own === "" ? text : `${text},${own}`;
}

/** Mounts whose mount point the root `root` can see, with the point's text. */
function visibleMounts(namespace: MountNamespace, root: Path): [Mount, string][] {
  const visible: [Mount, string][] = [];
  for (const mount of namespace.mounts) {
    const { text, reachable } = describePath(mount.rootPath, root);
    if (reachable) visible.push([mount, escapeMountText(text)]);
  }
  return visible;
}

/** Which part of its file system a (bind) mount shows. */
function placeInFileSystem(root: Dentry): string {
  let text = "";
  for (let dentry = root; dentry.parent !== null; dentry = dentry.parent) text = `/${dentry.name}${text}`;
  if (text === "") return "/";
  return root.hashed ? text : `${text}//deleted`;
}

/** /proc/PID/mounts. `root`: the reader's root directory. */
export function mountsText(namespace: MountNamespace, root: Path): string {
  let text = "";
  for (const [mount, point] of visibleMounts(namespace, root)) {
    let options = perMountOptions(mount, mount.readOnly);
    if ((mount.flags & MS_SYNCHRONOUS) !== 0) options += ",sync";
    const own = mount.fs.mountOptions();
    if (own !== "") options += `,${own}`;
    text += `${escapeMountText(mount.source)} ${point} ${mount.fs.type} ${options} 0 0\n`;
  }
  return text;
}

/** /proc/PID/mountinfo. */
export function mountinfoText(namespace: MountNamespace, root: Path): string {
  let text = "";
  for (const [mount, point] of visibleMounts(namespace, root)) {
    const device = mount.fs.deviceNumber;
    const major = (device >>> 8) & 0xfff;
    const minor = (device & 0xff) | ((device >>> 12) & 0xfff00);
    const parent = mount.parent?.id ?? mount.id;
    const options = perMountOptions(mount, (mount.flags & MS_RDONLY) !== 0);
    const propagation = mount.shared ? ` shared:${mount.id}` : "";
    text +=
      `${mount.id} ${parent} ${major}:${minor} ${escapeMountText(placeInFileSystem(mount.root))} ${point} ${options}${propagation}` +
      ` - ${mount.fs.type} ${escapeMountText(mount.source)} ${superOptions(mount, mount.fs.readOnly)}\n`;
  }
  return text;
}
