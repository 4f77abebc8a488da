/** /proc/PID/mounts and mountinfo: the mounts that the task sees. */
import { mountinfoText, mountsText } from "vfs-inode";
import type { TaskFile } from "../proc-file.ts";

export const mounts: TaskFile = { name: "mounts", text: (task) => mountsText(task.fs.namespace, task.fs.root) };
export const mountinfo: TaskFile = {
  name: "mountinfo",
  text: (task) => mountinfoText(task.fs.namespace, task.fs.root),
};
