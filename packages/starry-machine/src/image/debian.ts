/**
 * A Debian root file system from package files, without running their maintainer scripts.
 *
 * Each .deb (man 5 deb) is unpacked into a FileTree; then what the scripts of the essential packages would have set up
 * is set up: accounts, shells, alternatives, the dpkg database, a few files in /etc.
 */
import { readAr } from "./ar.ts";
import { readTar } from "./tar.ts";
import { FileTree } from "./tree.ts";
import { unxz } from "./xz.ts";

/** Unpacks `.tar.gz`; the host gives it (gzip is in every engine, but only as a stream). */
export type Gunzip = (bytes: Uint8Array) => Uint8Array;

interface Package {
  readonly control: Map<string, string>;
  readonly controlText: string;
  /** Files of control.tar by name: postinst, md5sums, conffiles, ... */
  readonly scripts: Map<string, string>;
  readonly files: readonly string[];
}

/** Priority by which the winner among alternatives that postinst scripts cannot tell us is chosen. */
const FALLBACK_ALTERNATIVES: readonly (readonly [link: string, candidates: readonly string[]])[] = [
  ["/usr/bin/awk", ["/usr/bin/gawk", "/usr/bin/mawk", "/usr/bin/original-awk", "/usr/bin/busybox"]],
  ["/usr/bin/vi", ["/usr/bin/vim.basic", "/usr/bin/vim.tiny", "/usr/bin/nvi"]],
  ["/usr/bin/editor", ["/usr/bin/vim.basic", "/usr/bin/vim.tiny", "/bin/nano", "/usr/bin/nano"]],
  ["/usr/bin/pager", ["/usr/bin/less", "/usr/bin/more"]],
  ["/usr/bin/nc", ["/bin/nc.openbsd", "/usr/bin/nc.traditional"]],
  ["/usr/bin/cc", ["/usr/bin/gcc"]],
  ["/usr/bin/c++", ["/usr/bin/g++"]],
];

/** Builds the tree from .deb files. Throws an Error that names the package for a damaged one. */
export function debianTree(
  debs: readonly { name: string; bytes: Uint8Array }[],
  options: { mtime: number; gunzip: Gunzip },
): FileTree {
  const tree = new FileTree({ mtime: options.mtime });
  const packages: Package[] = [];
  // base-files first: it brings the links /bin -> usr/bin and so on.
  const sorted = [...debs].sort(
    (a, b) => Number(b.name.startsWith("base-files_")) - Number(a.name.startsWith("base-files_")),
  );
  for (const deb of sorted) {
    try {
      packages.push(unpack(deb.bytes, tree, options.gunzip));
    } catch (error) {
      throw new Error(`${deb.name}: ${(error as Error).message}`);
    }
  }
  addAccounts(tree);
  addAlternatives(tree, packages);
  addDpkgDatabase(tree, packages);
  addConfiguration(tree);
  return tree;
}

function unpack(bytes: Uint8Array, tree: FileTree, gunzip: Gunzip): Package {
  const members = new Map(readAr(bytes).map((member) => [member.name, member.data]));
  const scripts = new Map<string, string>();
  for (const { path, node } of readTar(decompress(members, "control.tar", gunzip))) {
    if (node.type === "file") scripts.set(path.replace(/^\.\//, ""), new TextDecoder().decode(node.data));
  }
  const files: string[] = [];
  for (const { path, node } of readTar(decompress(members, "data.tar", gunzip))) {
    const absolute = `/${path.replace(/^\.?\//, "").replace(/\/$/, "")}`;
    tree.add(absolute, node.type === "hardlink" ? { ...node, target: `/${node.target.replace(/^\.?\//, "")}` } : node);
    files.push(absolute === "/" ? "/." : absolute);
  }
  const controlText = (scripts.get("control") ?? "").trim();
  const control = new Map([...controlText.matchAll(/^([\w-]+): (.*)$/gm)].map(([, key, value]) => [key, value]));
  return { control, controlText, scripts, files };
}

function decompress(members: Map<string, Uint8Array>, name: string, gunzip: Gunzip): Uint8Array {
  for (const [member, data] of members) {
    if (!member.startsWith(name)) continue;
    const suffix = member.slice(name.length);
    if (suffix === "") return data;
    if (suffix === ".xz") return unxz(data);
    if (suffix === ".gz") return gunzip(data);
    throw new Error(`${member}: compression ${suffix} is not supported`);
  }
  throw new Error(`no ${name} in the package`);
}

/** What base-passwd's postinst does, and the shadow files that passwd's tools expect. */
function addAccounts(tree: FileTree): void {
  for (const name of ["passwd", "group"]) {
    const master = tree.text(`/usr/share/base-passwd/${name}.master`);
    if (master !== undefined && !tree.has(`/etc/${name}`))
      tree.addFile(`/etc/${name}`, master.replace(/^root:\*:/m, "root:x:"));
  }
  const users = tree.text("/etc/passwd");
  if (users === undefined) {
    tree.addFile(
      "/etc/passwd",
      "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    );
    tree.addFile("/etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n");
  }
  const names = (tree.text("/etc/passwd") as string)
    .split("\n")
    .map((line) => line.split(":")[0])
    .filter(Boolean);
  tree.addFile("/etc/shadow", names.map((name) => `${name}:*:19000:0:99999:7:::\n`).join(""), 0o640);
  const shells = ["/bin/sh", "/usr/bin/sh", "/bin/bash", "/usr/bin/bash", "/bin/dash", "/usr/bin/dash"].filter((path) =>
    tree.has(path),
  );
  tree.addFile("/etc/shells", `# /etc/shells: valid login shells\n${shells.map((path) => `${path}\n`).join("")}`);
}

/** Links that update-alternatives would make: as the postinst scripts literally say, then a table for the rest. */
function addAlternatives(tree: FileTree, packages: readonly Package[]): void {
  interface Choice {
    readonly link: string;
    readonly path: string;
    readonly priority: number;
    readonly slaves: readonly (readonly [string, string, string])[];
  }
  const best = new Map<string, Choice>();
  for (const { scripts } of packages) {
    const text = (scripts.get("postinst") ?? "").replaceAll("\\\n", " ");
    for (const line of text.split("\n")) {
      const words = line.trim().split(/\s+/);
      const install = words.indexOf("--install");
      if (!words.includes("update-alternatives") || install < 0 || line.includes("$")) continue;
      const [link, name, path, priority] = words.slice(install + 1);
      const slaves: [string, string, string][] = [];
      for (let i = install; i < words.length; i++)
        if (words[i] === "--slave") slaves.push([words[i + 1], words[i + 2], words[i + 3]]);
      const known = best.get(name);
      if (tree.has(path) && (known === undefined || known.priority < Number(priority)))
        best.set(name, { link, path, priority: Number(priority), slaves });
    }
  }
  const link = (at: string, name: string, path: string) => {
    if (tree.has(at) || !tree.has(path)) return;
    tree.addSymlink(`/etc/alternatives/${name}`, path);
    tree.addSymlink(at, `/etc/alternatives/${name}`);
  };
  for (const [name, choice] of best) {
    link(choice.link, name, choice.path);
    for (const [at, slave, path] of choice.slaves) link(at, slave, path);
  }
  for (const [at, candidates] of FALLBACK_ALTERNATIVES) {
    const path = candidates.find((candidate) => tree.has(candidate));
    if (path !== undefined) link(at, at.slice(at.lastIndexOf("/") + 1), path);
  }
}

/** So that `dpkg -l` and apt know what is there. */
function addDpkgDatabase(tree: FileTree, packages: readonly Package[]): void {
  const stanzas = packages.map(({ controlText, control, scripts }) => {
    const conffiles = (scripts.get("conffiles") ?? "").split("\n").filter((line) => line.startsWith("/"));
    const list =
      conffiles.length === 0 ? "" : `\nConffiles:\n${conffiles.map((path) => ` ${path} newconffile`).join("\n")}`;
    return `${controlText.replace(/^Package: .*$/m, `Package: ${control.get("Package")}\nStatus: install ok installed`)}${list}\n`;
  });
  tree.addFile("/var/lib/dpkg/status", stanzas.join("\n"));
  // Format 1: "Multi-Arch: same" packages have their architecture in the names below (dpkg, lib/dpkg/db-fsys.h).
  tree.addFile("/var/lib/dpkg/info/format", "1\n");
  for (const { control, scripts, files } of packages) {
    const multiArch = control.get("Multi-Arch") === "same" ? `:${control.get("Architecture")}` : "";
    const base = `/var/lib/dpkg/info/${control.get("Package")}${multiArch}`;
    tree.addFile(`${base}.list`, files.map((path) => `${path}\n`).join(""));
    for (const [name, text] of scripts) {
      if (name !== "control") tree.addFile(`${base}.${name}`, text, /^(pre|post)(inst|rm)$/.test(name) ? 0o755 : 0o644);
    }
  }
  for (const folder of ["updates", "triggers", "alternatives", "parts"]) tree.addDirectory(`/var/lib/dpkg/${folder}`);
  tree.addFile("/var/lib/dpkg/available", "");
}

function addConfiguration(tree: FileTree): void {
  const defaults: readonly (readonly [path: string, content: string])[] = [
    ["/etc/hostname", "starry\n"],
    ["/etc/hosts", "127.0.0.1\tlocalhost starry\n::1\tlocalhost\n"],
    ["/etc/fstab", "/dev/vda / ext4 defaults 0 1\n"],
    ["/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"],
    ["/etc/resolv.conf", ""],
    ["/etc/machine-id", "00000000000000000000000000000001\n"],
  ];
  for (const [path, content] of defaults) if (!tree.has(path)) tree.addFile(path, content);
  for (const [name, source] of [
    [".bashrc", "dot.bashrc"],
    [".profile", "dot.profile"],
  ]) {
    const text = tree.text(`/usr/share/base-files/${source}`);
    if (text !== undefined) tree.addFile(`/root/${name}`, text);
  }
  for (const path of ["/proc", "/sys", "/dev", "/run", "/mnt", "/root"])
    if (!tree.has(path)) tree.addDirectory(path, path === "/root" ? 0o700 : 0o755);
  for (const path of ["/tmp", "/var/tmp"]) tree.addDirectory(path, 0o1777);
  for (const path of ["/var/log", "/var/cache", "/var/lib/apt/lists/partial", "/var/cache/apt/archives/partial"])
    if (!tree.has(path)) tree.addDirectory(path);
}
