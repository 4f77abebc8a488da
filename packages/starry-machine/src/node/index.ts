/** What a machine needs from Node: image files, host folders, the embedded root. */
export { HostFileSystem, type HostFileSystemOptions } from "./host-fs.ts";
export { describeImage, hostTime, rootDevice, withImage } from "./image-file.ts";
export { GdbServer } from "./gdb-server.ts";
export { hostTree, writeTree } from "./host-tree.ts";
export { createImage, type CreateOptions } from "./cli/image-create.ts";
export { debianImage } from "./debian-image.ts";
export { embeddedRootImage } from "./embedded-root.ts";
export { attachTerminal, type ConsoleEnd } from "./terminal.ts";
export { runSession, type SessionOptions } from "./cli/session.ts";
