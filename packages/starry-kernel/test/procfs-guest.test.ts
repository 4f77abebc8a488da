/** /proc, /sys and /dev as programs of our own userland see them. */
import { expect, test } from "vitest";
import { type Outcome, newGuest } from "./guest.ts";

const sh = (script: string): Outcome => newGuest({ memory: 64 << 20 }).run(["/bin/sh", "-c", script]);

test("a shell runs, with pipes and files", () => {
  expect(sh("echo one two | wc -w; echo x >/tmp/f; cat /tmp/f; exit 3")).toEqual({
    stdout: "2\nx\n",
    stderr: "",
    status: 3,
  });
});

test("/proc/self leads to the reader, and each process has its directory", () => {
  const { stdout } = sh(
    "cat /proc/self/comm; cat /proc/self/status | grep -E '^(Name|Pid|PPid|State)'; ls /proc | grep -c '^[0-9]'; true",
  );
  const lines = stdout.trimEnd().split("\n");
  expect(lines[0]).toBe("cat");
  expect(lines).toContain("Name:\tcat");
  expect(lines).toContain("State:\tR (running)");
  expect(lines).toContain("PPid:\t1");
  expect(Number(lines.at(-1))).toBeGreaterThanOrEqual(3);
});

test("stat has 52 fields and maps names its file", () => {
  const { stdout } = sh("cat /proc/self/stat; cat /proc/self/maps; true");
  const [stat = "", ...maps] = stdout.split("\n");
  expect(stat.split(" ").length).toBe(52);
  expect(
    maps.some((line) => /^[0-9a-f]{8,}-[0-9a-f]{8,} r-xp 00000000 \S\S:\S\S \d+ +\/usr\/bin\/starrybox$/.test(line)),
  ).toBe(true);
  expect(maps.some((line) => line.endsWith("[stack]"))).toBe(true);
});

test("descriptors, working directory and program are links that work", () => {
  const { stdout } = sh(
    "cd /etc; readlink /proc/self/cwd; readlink /proc/self/exe; exec 5</etc/hostname; readlink /proc/self/fd/5; cat /proc/self/fd/5; cat /proc/$$/root/etc/hostname; echo piped | cat /dev/stdin",
  );
  expect(stdout).toBe("/etc\n/usr/bin/starrybox\n/etc/hostname\nstarry\nstarry\npiped\n");
});

test("a deleted file stays readable by its descriptor", () => {
  const { stdout } = sh("echo data >/tmp/f; exec 3</tmp/f; rm /tmp/f; readlink /proc/self/fd/3; cat /proc/$$/fd/3");
  expect(stdout).toBe("/tmp/f (deleted)\ndata\n");
});

test("figures of the whole system have their formats", () => {
  const { stdout } = sh(
    "cat /proc/loadavg /proc/uptime /proc/version /proc/filesystems /proc/cmdline; cat /proc/meminfo | head -3",
  );
  expect(stdout).toMatch(/^\d+\.\d\d \d+\.\d\d \d+\.\d\d \d+\/\d+ \d+\n\d+\.\d\d \d+\.\d\d\nLinux version \d+\.\d+/);
  expect(stdout).toContain("nodev\tproc\n");
  expect(stdout).toContain("root=test\n");
  expect(stdout).toMatch(/MemTotal: +65536 kB\nMemFree: +\d+ kB\nMemAvailable: +\d+ kB\n/);
});

test("parameters of /proc/sys can be read and set", () => {
  const { stdout } = sh(
    "cat /proc/sys/kernel/ostype; echo 42 >/proc/sys/vm/swappiness; cat /proc/sys/vm/swappiness; echo box >/proc/sys/kernel/hostname; uname -n; cat /proc/sys/kernel/random/boot_id; cat /proc/sys/kernel/random/boot_id; cat /proc/sys/kernel/random/uuid",
  );
  const lines = stdout.trimEnd().split("\n");
  expect(lines.slice(0, 3)).toEqual(["Linux", "42", "box"]);
  expect(lines[3]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(lines[4]).toBe(lines[3]);
  expect(lines[5]).not.toBe(lines[3]);
});

test("mounts appear in /proc/mounts and mountinfo", () => {
  const { stdout } = sh(
    "mkdir /m; mount -t tmpfs -o size=1m 'with space' /m 2>/dev/null || mount -t tmpfs x /m; grep ' /m ' /proc/mounts; grep -c . /proc/self/mountinfo; umount /m; grep -c ' /m ' /proc/mounts",
  );
  expect(stdout).toMatch(/ \/m tmpfs rw,relatime/);
  expect(stdout.endsWith("0\n")).toBe(true);
});

test("/sys and /dev hold what programs look for", () => {
  const { stdout } = sh(
    "cat /sys/devices/system/cpu/online; ls -d /sys/fs/cgroup /sys/kernel/tracing /sys/class/net; head -c 4 /dev/zero | wc -c; head -c 16 /dev/urandom | wc -c; echo gone >/dev/null; echo x >/dev/full; echo $?",
  );
  expect(stdout).toContain("0\n/sys/class/net\n");
  expect(stdout).toMatch(/4\n16\n[1-9]\d*\n$/);
});

test("a directory of a process that has gone answers ENOENT, its open files ESRCH", () => {
  const { stdout, stderr } = sh("sleep 0 & p=$!; exec 4</proc/$p/stat; wait; cat <&4; ls /proc/$p; echo done");
  expect(stdout).toBe("done\n");
  expect(stderr).toContain("No such process");
  expect(stderr).toContain("No such file");
});
