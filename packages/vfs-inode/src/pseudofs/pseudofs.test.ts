import {
  EACCES,
  EINVAL,
  ENOENT,
  ENOTTY,
  EPERM,
  O_CREAT,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  POLLIN,
  S_IFDIR,
  SEEK_SET,
} from "linux-abi";
import { beforeEach, expect, test } from "vitest";
import { type File, LOOKUP_FOLLOW, type Path, Vfs } from "../index.ts";
import { DirMapping, SeqObject, SimpleDir, SimpleFs, SimpleSymlink, SpecialFileBase, SpecialFsFile } from "./index.ts";

let vfs: Vfs;
let context: ReturnType<Vfs["mountRoot"]>;
let fs: SimpleFs;
let counter = 0;
let control = "";
const pids = new Map<number, SimpleDir>();

function read(path: string): string | number {
  const file = vfs.open(context, null, path, O_RDONLY, 0);
  if (typeof file === "number") return file;
  const buf = new Uint8Array(100);
  const n = file.read(buf);
  file.close();
  return n < 0 ? n : new TextDecoder().decode(buf.subarray(0, n));
}

beforeEach(() => {
  counter = 0;
  control = "off";
  pids.clear();
  fs = new SimpleFs({ type: "proc", magic: 0x9fa0 });
  const processDir = (pid: number): SimpleDir => {
    const mapping = new DirMapping().add("comm", new SpecialFsFile(fs, new SeqObject(() => `p${pid}\n`), 0o444));
    return new SimpleDir(fs, mapping, { ino: 1000 + pid });
  };
  for (const pid of [1, 7, 30]) pids.set(pid, processDir(pid));
  const root = new DirMapping()
    .add("count", SpecialFsFile.newRegularWithPerm(fs, new SeqObject(() => `${counter++}\n`.repeat(3)), 0o444))
    .add(
      "control",
      SpecialFsFile.newRegularWithPerm(fs, new SeqObject(() => control, { write: (text) => setControl(text) }), 0o644),
    )
    .add("fails", SpecialFsFile.newRegularWithPerm(fs, new SeqObject(() => -EACCES), 0o444))
    .addDynamic("self", () => new SimpleSymlink(fs, () => "7"));
  const setControl = (text: string): number => {
    if (text.trim() === "bad") return -EINVAL;
    control = text.trim();
    return 0;
  };
  const source = {
    lookup: (name: string) => pids.get(Number(name)),
    *list(fromKey: number) {
      for (const [pid, dir] of [...pids].sort((a, b) => a[0] - b[0])) {
        if (pid >= fromKey) yield { name: `${pid}`, key: pid, ino: dir.ino, type: S_IFDIR };
      }
    },
  };
  fs.setRoot(new SimpleDir(fs, root, { source }));
  vfs = new Vfs();
  context = vfs.mountRoot(fs);
});

test("text is made when it is read, stays the same through one reading, and anew after seek to 0", () => {
  const file = vfs.open(context, null, "/count", O_RDONLY, 0) as File;
  const buf = new Uint8Array(4);
  expect(file.read(buf)).toBe(4);
  expect(new TextDecoder().decode(buf)).toBe("0\n0\n");
  expect(file.read(buf)).toBe(2);
  expect(file.read(buf)).toBe(0);
  file.seek(0, SEEK_SET);
  file.read(buf);
  expect(new TextDecoder().decode(buf)).toBe("1\n1\n");
  file.close();
});

test("control files take writes and report what their handler says", () => {
  const file = vfs.open(context, null, "/control", O_RDWR, 0) as File;
  expect(file.write(new TextEncoder().encode("on\n"))).toBe(3);
  expect(control).toBe("on");
  expect(file.write(new TextEncoder().encode("bad"))).toBe(-EINVAL);
  expect(file.ioctl(1, 2, null)).toBe(-ENOTTY);
  file.close();
  expect(read("/control")).toBe("on");
  expect(read("/fails")).toBe(-EACCES);
});

test("dynamic children appear, vanish and resolve through links", () => {
  expect(read("/self/comm")).toBe("p7\n");
  expect(read("/8/comm")).toBe(-ENOENT);
  pids.set(8, pids.get(7) as SimpleDir);
  expect(read("/8/comm")).toBe("p7\n");
  pids.delete(7);
  expect(read("/7/comm")).toBe(-ENOENT);
});

test("a listing goes on after entries have vanished", () => {
  const root = fs.root();
  const seen: string[] = [];
  let cookie = 0;
  root.readdir(0, (name, _ino, _type, next) => {
    if (name === "7") return false;
    seen.push(name);
    cookie = next;
    return true;
  });
  expect(seen).toEqual([".", "..", "count", "control", "fails", "self", "1"]);
  pids.delete(7);
  const rest: string[] = [];
  root.readdir(cookie, (name) => rest.push(name) > 0);
  expect(rest).toEqual(["30"]);
});

test("nothing can be created, and attributes are fixed unless the file system allows", () => {
  expect(vfs.open(context, null, "/new", O_CREAT | O_WRONLY, 0o644)).toBe(-EPERM);
  expect(vfs.chmod(context, vfs.lookup(context, null, "/count", 0) as Path, 0o600)).toBe(-EPERM);
});

test("a magic link leads to its object whatever its text", () => {
  const target = vfs.lookup(context, null, "/1", 0) as Path;
  (fs.root() as SimpleDir).mapping.add("cwd", new SimpleSymlink(fs, "/somewhere (deleted)", { follow: () => target }));
  expect((vfs.lookup(context, null, "/cwd", LOOKUP_FOLLOW) as Path).inode).toBe(pids.get(1));
  expect(vfs.readlink(vfs.lookup(context, null, "/cwd", 0) as Path)).toBe("/somewhere (deleted)");
});

test("a special file has state per open and its own poll", () => {
  class Echo extends SpecialFileBase {
    pending = "";
    override get stream(): boolean {
      return true;
    }
    read(_offset: number, buf: Uint8Array): number {
      const bytes = new TextEncoder().encode(this.pending);
      buf.set(bytes);
      this.pending = "";
      return bytes.length;
    }
    write(_offset: number, buf: Uint8Array): number {
      this.pending += new TextDecoder().decode(buf);
      return buf.length;
    }
    override poll(): number {
      return this.pending === "" ? 0 : POLLIN;
    }
  }
  (fs.root() as SimpleDir).mapping.add("echo", new SpecialFsFile(fs, { open: () => new Echo() }, 0o666));
  const a = vfs.open(context, null, "/echo", O_RDWR, 0) as File;
  const b = vfs.open(context, null, "/echo", O_RDWR, 0) as File;
  a.write(new TextEncoder().encode("hi"));
  expect([a.special?.poll(), b.special?.poll()]).toEqual([POLLIN, 0]);
  expect(a.seek(0, SEEK_SET)).toBeLessThan(0);
  a.close();
  b.close();
});

test("the reader without an open file gets the text too", () => {
  const buf = new Uint8Array(10);
  const file = fs.root().lookup("count");
  expect(typeof file === "number" ? file : file.readAt(0, buf)).toBe(6);
});
