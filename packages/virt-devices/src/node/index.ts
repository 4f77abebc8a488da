/** What needs Node: a folder of the host for the 9P device. */
export { HostFolder, type HostFolderOptions } from "./host-folder.ts";
