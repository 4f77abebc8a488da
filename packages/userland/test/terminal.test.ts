/**
 * The shell on a terminal: editing, history, completion, job control; vi, less and top.
 * A pseudo-terminal comes from python3's pty module.
 */
/// <reference types="node" />
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { binary, inTemporary, missing, packageRoot } from "./guest.ts";

type Step = readonly ["send" | "expect", string] | readonly ["size", number, number] | readonly ["sleep", number];

const python = spawnSync("python3", ["-c", "import pty, os; os.waitstatus_to_exitcode"], { stdio: "ignore" });
const reason = missing ?? (python.status === 0 ? undefined : "python3 (3.9 or later) is not installed");
if (reason !== undefined && missing === undefined) console.log(`userland: terminal tests are skipped: ${reason}`);
const terminalTest = test.skipIf(reason !== undefined);

const qemu = spawnSync("sh", ["-c", "command -v qemu-riscv64"], { encoding: "utf8" }).stdout.trim();
const python3 =
  spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).stdout?.trim() ?? "";

function terminal(args: readonly string[], steps: readonly Step[], cwd: string): string {
  const done = spawnSync(python3, [join(packageRoot, "test/terminal.py"), qemu, binary("starrybox"), ...args], {
    cwd,
    input: JSON.stringify(steps),
    encoding: "latin1",
    timeout: 60_000,
    env: { PATH: "/nowhere", HOME: "/", TERM: "xterm", PS1: "ready> ", LC_ALL: "C" },
  });
  expect(done.status, done.stdout + done.stderr).toBe(0);
  return done.stdout;
}

const send = (text: string): Step => ["send", text];
const wait = (text: string): Step => ["expect", text];
const prompt = wait("ready> ");
/** Types a command and waits for its output and the next prompt. */
const type = (text: string, ...output: string[]): Step[] => [send(`${text}\r`), ...output.map(wait), prompt];
const isList = (step: Step | Step[]): step is Step[] => Array.isArray(step[0]);
const shell = (cwd: string, ...steps: (Step | Step[])[]): string =>
  terminal(["sh"], [prompt, ...steps.flatMap((step) => (isList(step) ? step : [step])), send("exit 4\r")], cwd);

terminalTest("commands run and the exit status is passed on", () => {
  expect(inTemporary((cwd) => shell(cwd, type("echo out$((40+2))", "out42")))).toContain("[exit 4]");
});

terminalTest("Ctrl-Z stops a job, bg and fg resume it, jobs lists it", () => {
  inTemporary((cwd) =>
    shell(
      cwd,
      send("sleep 30\r"),
      ["sleep", 0.4],
      send("\x1a"),
      wait("[1]+  Stopped"),
      prompt,
      type("jobs", "[1]+  Stopped                sleep 30"),
      type("bg", "[1]+ sleep 30 &"),
      type("jobs", "Running"),
      send("fg\r"),
      wait("sleep 30"),
      ["sleep", 0.3],
      send("\x03"),
      prompt,
      type("echo status $?", "status 130"),
      type("jobs; echo none", "none"),
    ),
  );
});

terminalTest("Ctrl-C ends the foreground pipeline and not the shell", () => {
  inTemporary((cwd) =>
    shell(
      cwd,
      send("sleep 30 | cat\r"),
      ["sleep", 0.4],
      send("\x03"),
      prompt,
      send("while :; do :; done\r"),
      ["sleep", 0.4],
      send("\x03"),
      prompt,
      type("echo alive", "alive"),
    ),
  );
});

terminalTest("a background job is announced and its end reported", () => {
  inTemporary((cwd) =>
    shell(
      cwd,
      send("sleep 0.2 &\r"),
      wait("[1] "),
      prompt,
      ["sleep", 0.6],
      send("\r"),
      wait("Done"),
      prompt,
      type("sleep 50 & kill %1; wait %1; echo w$?", "w143"),
    ),
  );
});

terminalTest("a background reader is stopped by the terminal", () => {
  inTemporary((cwd) =>
    shell(
      cwd,
      send("cat &\r"),
      wait("[1] "),
      ["sleep", 0.4],
      send("\r"),
      wait("Stopped"),
      prompt,
      send("fg\r"),
      ["sleep", 0.3],
      send("typed\n"),
      wait("typed\r\ntyped"),
      send("\x04"),
      prompt,
    ),
  );
});

terminalTest("the line can be edited", () => {
  inTemporary((cwd) =>
    shell(
      cwd,
      type("ecXho a\x1b[D\x1b[D\x1b[D\x1b[D\x7f", "ho a"), // arrows and backspace: "echo a" is not what is left
      type("world\x01echo hello \x05!", "hello world!"),
      type("echo one two\x17three", "one three"),
      type("junk\x15echo clean", "clean"),
      type("echo abcd\x02\x02\x0bX", "abX"),
      type("echo p\x0b\x15echo q \x19", "q echo p"),
    ),
  );
});

terminalTest("history is recalled with arrows and searched with Ctrl-R", () => {
  inTemporary((cwd) =>
    shell(
      cwd,
      type("echo first", "first"),
      type("echo second", "second"),
      type("\x1b[A\x1b[A", "first"),
      type("\x1b[A\x1b[A\x1b[B\x1b[B\x10", "first"),
      type("\x12sec\x05", "second"),
      type("history", "1  echo first", "2  echo second"),
    ),
  );
});

terminalTest("Tab completes files, directories and commands", () => {
  inTemporary((cwd) => {
    writeFileSync(join(cwd, "unique-name.txt"), "found it\n");
    writeFileSync(join(cwd, "pair-a"), "");
    writeFileSync(join(cwd, "pair-b"), "");
    shell(
      cwd,
      type("cat uni\t", "found it"),
      send("echo pa\t\t"),
      wait("pair-a  pair-b"),
      send("\x03"),
      prompt,
      type("mkdir -p dir/sub"),
      type("cd di\tsu\t; pwd", "/dir/sub"),
      type("ech\tok", "ok"),
      type("cd ../.."),
      send("echo pair\t"),
      wait("pair-"),
      send("\x03"),
      prompt,
    );
  });
});

terminalTest("an unfinished command is continued, Ctrl-C gives it up, Ctrl-D ends the shell", () => {
  const seen = inTemporary((cwd) =>
    terminal(
      ["sh"],
      [
        prompt,
        send("for i in 1 2\r"),
        wait("> "),
        send("do echo n$i; done\r"),
        wait("n1\r\nn2"),
        prompt,
        send("echo 'open\r"),
        wait("> "),
        send("\x03"),
        prompt,
        send("cat <<E\r"),
        wait("> "),
        send("body\r"),
        wait("> "),
        send("E\r"),
        wait("body"),
        prompt,
        send("\x04"),
      ],
      cwd,
    ),
  );
  expect(seen).toContain("[exit 0]");
});

terminalTest("the terminal is left as it was found", () => {
  inTemporary((cwd) =>
    shell(
      cwd,
      type("stty -echo; stty -a", "-echo"),
      type("stty sane; stty", "line = 0"),
      ["size", 30, 100],
      type("stty size", "30 100"),
      type("tty", "/dev/pts/"),
    ),
  );
});

terminalTest("ls makes columns and colours on a terminal", () => {
  inTemporary((cwd) =>
    shell(
      cwd,
      ["size", 24, 80],
      type("mkdir d; : >f; : >g; ls", "\x1b[01;34md\x1b[0m  f  g"),
      type("ls | cat", "d\r\nf\r\ng"),
    ),
  );
});

terminalTest("read -s hides and read -n takes single keys", () => {
  inTemporary((cwd) =>
    shell(
      cwd,
      send("read -s -p 'sec'ret:\\  x; echo \"[$x]\"\r"),
      wait("secret: "),
      send("hidden\r"),
      wait("[hidden]"),
      prompt,
      send('read -n 1 k; echo "<$k>"\r'),
      ["sleep", 0.3],
      send("y"),
      wait("<y>"),
      prompt,
    ),
  );
});

terminalTest("vi edits a file", () => {
  inTemporary((cwd) => {
    const path = join(cwd, "f");
    writeFileSync(path, "one\ntwo\nthree\nfour\n");
    terminal(
      ["vi", "f"],
      [
        wait("four"),
        send("ione more \x1b"),
        send("jdd"),
        send("p"),
        send("G"),
        send("ofive\x1b"),
        send("ggyyGp"),
        send("0cwlast\x1b"),
        send("uu"),
        send(":%s/o/0/g\r"),
        send(":2s/^/> /\r"),
        send("/f0ur\r"),
        send("x"),
        send(":wq\r"),
      ],
      cwd,
    );
    expect(readFileSync(path, "latin1")).toBe("0ne m0re 0ne\n> three\ntw0\n0ur\nfive\n");
  });
});

terminalTest("less pages and searches, and gives the screen back", () => {
  inTemporary((cwd) => {
    writeFileSync(join(cwd, "f"), Array.from({ length: 200 }, (_, i) => `line ${i + 1}\n`).join(""));
    const seen = terminal(
      ["less", "f"],
      [
        ["size", 10, 40],
        ["sleep", 0.3],
        send(" "),
        wait("line 18"),
        send("G"),
        wait("line 200"),
        wait("(END)"),
        send("g/line 15\\d*\r"),
        send("q"),
      ],
      cwd,
    );
    expect(seen).toContain("\x1b[?1049l");
  });
});

terminalTest("init starts a login shell and exits with its status", () => {
  const seen = inTemporary((cwd) =>
    terminal(
      ["init"],
      [wait(" "), ["sleep", 0.3], send("echo home=$HOME\r"), wait("home=/\r\n"), send("exit 6\r")],
      cwd,
    ),
  );
  expect(seen).toContain("[exit 6]");
});
