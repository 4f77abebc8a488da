/**
 * The tree of the embedded root image: what stands where, with which mode.
 *
 * Pure data. File contents are given as paths below this package (`source`), so that whoever
 * builds the image reads them with its own means; nothing here touches a file system. Everything
 * belongs to root and carries ROOT_TREE_MTIME, so that the image comes out the same each time.
 *
 * /bin, /sbin and /lib are links into /usr, as on Debian. Every applet is a link to starrybox.
 */
import { appletNames } from "./applets.gen.ts";

interface EntryCommon {
  /** Absolute path in the image. Parents come before their children. */
  readonly path: string;
  /** Permission bits 0o7777. */
  readonly mode: number;
}

export type RootEntry = EntryCommon &
  (
    | { readonly type: "directory" }
    /** `source`: path of the contents, relative to the folder of this package. */
    | { readonly type: "file"; readonly source: string }
    | { readonly type: "symlink"; readonly target: string }
  );

/** Modification time of every entry, seconds since 1970: 2026-01-01 00:00:00 UTC. */
export const ROOT_TREE_MTIME = 1767225600;

/** Programs of `programs/` that a visitor may like to run. */
const visiblePrograms: readonly string[] = ["hello"];
/** Programs that test or time the kernel. */
const testPrograms: readonly string[] = [
  "fork-bench",
  "mips",
  "pipe-bench",
  "signals",
  "stack-overflow",
  "start-block",
  "syscall-bench",
  "threads",
  "touch-memory",
];

const directory = (path: string, mode = 0o755): RootEntry => ({ type: "directory", path, mode });
const symlink = (path: string, target: string): RootEntry => ({ type: "symlink", path, target, mode: 0o777 });
const file = (path: string, source: string, mode = 0o644): RootEntry => ({ type: "file", path, source, mode });
/** A file whose contents are kept under `root/` at the same path. */
const copied = (path: string, mode = 0o644): RootEntry => file(path, `root${path}`, mode);

export const rootTree: readonly RootEntry[] = [
  ...["/dev", "/etc", "/home", "/media", "/mnt", "/opt", "/proc"].map((path) => directory(path)),
  directory("/root", 0o700),
  directory("/root/examples"),
  ...["/run", "/srv", "/sys"].map((path) => directory(path)),
  directory("/tmp", 0o1777),
  ...["/usr", "/usr/bin", "/usr/lib", "/usr/libexec", "/usr/libexec/tests", "/usr/local", "/usr/local/bin"].map(
    (path) => directory(path),
  ),
  ...["/usr/sbin", "/usr/share", "/var", "/var/cache", "/var/lib", "/var/log"].map((path) => directory(path)),
  directory("/var/tmp", 0o1777),
  symlink("/var/run", "/run"),
  symlink("/bin", "usr/bin"),
  symlink("/lib", "usr/lib"),
  symlink("/sbin", "usr/sbin"),

  ...["motd", "profile", "passwd", "group", "hostname", "hosts", "os-release", "shells", "nsswitch.conf", "fstab"].map(
    (name) => copied(`/etc/${name}`),
  ),
  symlink("/etc/mtab", "/proc/mounts"),
  copied("/root/README"),
  copied("/root/hello.sh", 0o755),
  copied("/root/examples/primes.sh", 0o755),
  copied("/root/examples/jobs.sh", 0o755),

  file("/usr/bin/starrybox", "bin/starrybox", 0o755),
  ...appletNames.map((name) => symlink(`/usr/bin/${name}`, "starrybox")),
  symlink("/usr/sbin/init", "../bin/starrybox"),
  ...visiblePrograms.map((name) => file(`/usr/bin/${name}`, `bin/${name}`, 0o755)),
  // A program that we did not write: esbuild, as its author publishes it for riscv64 (a devDependency, MIT).
  file("/usr/bin/esbuild", "node_modules/@esbuild/linux-riscv64/bin/esbuild", 0o755),
  directory("/usr/share/doc"),
  directory("/usr/share/doc/esbuild"),
  copied("/usr/share/doc/esbuild/copyright"),
  ...testPrograms.map((name) => file(`/usr/libexec/tests/${name}`, `bin/${name}`, 0o755)),
];
