/**
 * A kit for file systems whose files are objects of the kernel: procfs, sysfs, devfs, tracefs.
 *
 *     const fs = new SimpleFs({ type: "proc", magic: PROC_SUPER_MAGIC });
 *     const root = new DirMapping();
 *     root.add("uptime", SpecialFsFile.newRegularWithPerm(fs, new SeqObject(() => `${uptime()}\n`), 0o444));
 *     root.addDynamic("self", () => new SimpleSymlink(fs, () => `${currentPid()}`));
 *     fs.setRoot(new SimpleDir(fs, root));
 *
 * @module
 */
export { type DirectorySource, type DynamicEntry, DirMapping, SimpleDir, type SimpleDirOptions } from "./simple-dir.ts";
export { type PseudoNodeOptions, PseudoNode } from "./node.ts";
export { type Generate, SeqObject, type SeqObjectOptions } from "./seq-object.ts";
export { SimpleFs, type SimpleFsOptions } from "./simple-fs.ts";
export { SimpleSymlink, type SimpleSymlinkOptions } from "./simple-symlink.ts";
export { SpecialFileBase, SpecialFsFile, type SpecialFileOps, type SpecialFsFileOptions } from "./special-file.ts";
