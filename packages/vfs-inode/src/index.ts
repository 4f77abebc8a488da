export * from "./inode.ts";
