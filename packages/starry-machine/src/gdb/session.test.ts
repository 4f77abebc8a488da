/// <reference types="node" />
/** The stub spoken to directly: what gdb does not use on RISC-V (it steps with breakpoints of its own) or hides. */
import { OverlayDisk } from "blockdev-disk";
import { assemble } from "rv64-cpu/asm";
import { expect, test } from "vitest";
import { rootDisk } from "../../scripts/root-disk.ts";
import { GuestFiles } from "../guest-files.ts";
import { Machine } from "../machine.ts";
import { encodePacket, fromBinary, hexToText, PacketReader, textToHex } from "./packet.ts";
import { GdbSession } from "./session.ts";

const root = rootDisk();
const BASE = 0x10000;
const HEADERS = 0x78;
const START = BASE + HEADERS;
const REG_A0 = 10;
const REG_A2 = 12;

/** A static program: one segment with all rights from the file's start. */
function executable(code: Uint8Array): Uint8Array {
  const file = new Uint8Array(HEADERS + code.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  const fields: readonly (readonly [number, number])[] = [
    [16, 2 | (243 << 16)], // ET_EXEC, EM_RISCV
    [20, 1],
    [24, START], // e_entry
    [32, 64], // e_phoff
    [52, 64 | (56 << 16)],
    [56, 1], // e_phnum
    [64, 1], // PT_LOAD
    [68, 7], // p_flags
    [80, BASE],
    [88, BASE],
    [96, file.length],
    [104, file.length],
    [112, 4096],
  ];
  for (const [at, value] of fields) view.setUint32(at, value, true);
  file.set(code, HEADERS);
  return file;
}

class Client implements AsyncDisposable {
  readonly machine: Machine;
  readonly session: GdbSession;
  readonly labels: ReadonlyMap<string, number>;
  readonly #replies: string[] = [];
  #wake: () => void = () => {};

  private constructor(machine: Machine, labels: ReadonlyMap<string, number>) {
    this.machine = machine;
    this.labels = labels;
    const reader = new PacketReader({
      packet: (payload) => {
        this.#replies.push(payload);
        this.#wake();
      },
      interrupt: () => {},
      send: () => {},
      resend: () => {},
    });
    this.session = new GdbSession(machine, (text) => reader.push(fromBinary(text)));
  }

  static async start(source: string): Promise<Client> {
    const { bytes, labels } = assemble(source, { origin: START });
    const machine = await Machine.create({
      memory: "32M",
      disks: [new OverlayDisk(root)],
      debug: "wait",
      init: (kernel) => {
        new GuestFiles(kernel).writeFile("/program", executable(bytes), 0o755);
        return { path: "/program" };
      },
    });
    return new Client(machine, labels);
  }

  send(payload: string): void {
    this.session.push(fromBinary(encodePacket(payload)));
  }

  async ask(payload: string): Promise<string> {
    this.send(payload);
    return this.reply();
  }

  async reply(): Promise<string> {
    while (this.#replies.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.#replies.shift() as string;
  }

  async register(number: number): Promise<number> {
    const bytes = await this.ask(`p${number.toString(16)}`);
    return Number.parseInt((bytes.match(/../g) ?? []).reverse().join(""), 16);
  }

  /** Bytes from START on. */
  async pc(): Promise<number> {
    return (await this.register(32)) - START;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.session.close();
    this.machine.stop();
    await this.machine.exited;
  }
}

const EXIT = "li a7, 93\n ecall\n";

test("a step is one instruction; one that calls the kernel ends after the call", async () => {
  await using client = await Client.start(`li a0, 5\n addi a0, a0, 1\n li a7, 172\n ecall\n mv a1, a0\n ${EXIT}`);
  expect(await client.ask("?")).toMatch(/^T05thread:1;/);
  const trail: number[] = [];
  for (let n = 0; n < 4; n++) {
    expect(await client.ask("vCont;s:1")).toMatch(/^T05thread:1;.*20:[0-9a-f]{16};$/);
    trail.push(await client.pc());
  }
  expect(trail).toEqual([4, 8, 12, 16]);
  expect(await client.register(REG_A0)).toBe(1); // getpid
});

test("the commands of old, c and s, step and continue too", async () => {
  await using client = await Client.start(`li a0, 5\n addi a0, a0, 1\n ${EXIT}`);
  expect(await client.ask("Hc1")).toBe("OK");
  expect(await client.ask("s")).toMatch(/^T05/);
  expect(await client.pc()).toBe(4);
  expect([await client.ask("Hc0"), await client.ask("Hg0")]).toEqual(["OK", "OK"]);
  expect(await client.ask("c")).toBe("W06");
});

test("a range is stepped through at once", async () => {
  await using client = await Client.start(
    `li a0, 0\nloop: addi a0, a0, 1\n li a1, 1000\n bne a0, a1, loop\n nop\n ${EXIT}`,
  );
  await client.ask("vCont;s:1");
  const range = [4, 16].map((offset) => (START + offset).toString(16)).join(",");
  await client.ask(`vCont;r${range}:1`);
  expect(await client.pc()).toBe(16);
  expect(await client.register(REG_A0)).toBe(1000);
});

test("an atomic sequence is one step, also for a watchpoint on what it stores", async () => {
  const source = `addi a2, sp, -64\n li a0, 35\n sd a0, (a2)\nagain: lr.d a0, (a2)\n addi a0, a0, 7\n sc.d a1, a0, (a2)\n bnez a1, again\n ${EXIT}`;
  await using client = await Client.start(source);
  const again = (client.labels.get("again") as number) - START;
  while ((await client.pc()) !== again) await client.ask("vCont;s:1");
  const word = (await client.register(REG_A2)).toString(16);
  expect(await client.ask(`Z2,${word},8`)).toBe("OK");
  expect(await client.ask("vCont;c")).toContain(`watch:${word};`);
  expect(await client.pc()).toBe(again + 12);
  expect(await client.ask(`m${word},8`)).toBe("2a00000000000000");
});

test("breakpoints are invisible in memory, survive writes over them and can be set twice", async () => {
  await using client = await Client.start(`nop\nhere: li a0, 3\n ${EXIT}`);
  const here = (client.labels.get("here") as number).toString(16);
  const before = await client.ask(`m${here},4`);
  expect([await client.ask(`Z0,${here},4`), await client.ask(`Z0,${here},4`)]).toEqual(["OK", "OK"]);
  expect(await client.ask(`m${here},4`)).toBe(before);
  expect(await client.ask(`M${here},4:13059000`)).toBe("OK"); // li a0, 9
  expect(await client.ask("vCont;c")).toMatch(/^T05thread:1;.*swbreak:;$/);
  expect(await client.ask(`z0,${here},4`)).toBe("OK");
  expect(await client.ask("vCont;c")).toBe("W09");
});

test("a fault is a signal; passed on, it ends the program", async () => {
  await using client = await Client.start("li a0, 16\n ld a0, (a0)\n");
  expect(await client.ask("vCont;c")).toMatch(/^T0bthread:1;/);
  expect(await client.pc()).toBe(4);
  expect(await client.ask("vCont;C0b:1")).toBe("X0b");
});

test("a fault that is not passed on comes again, until the user has mended its cause", async () => {
  await using client = await Client.start(`li a0, 16\n ld a1, (a0)\n li a0, 4\n ${EXIT}`);
  expect(await client.ask("vCont;c")).toMatch(/^T0b/);
  expect(await client.ask("vCont;c")).toMatch(/^T0b/);
  expect(await client.ask("Pa=0000010000000000")).toBe("OK");
  expect(await client.ask("vCont;c")).toBe("W04");
});

test("what is not there is an error, not the end", async () => {
  await using client = await Client.start(EXIT);
  expect(await client.ask("m0,4")).toBe("E0e");
  expect(await client.ask("M0,1:00")).toBe("E0e");
  expect(await client.ask("Z0,0,4")).toBe("E0e");
  expect(await client.ask("T7")).toBe("E03");
  expect(await client.ask("Hg7")).toBe("E03");
  expect(await client.ask("p63")).toBe("E16");
  expect(await client.ask("G00")).toBe("E16");
  expect(await client.ask("vCont;x")).toBe("E16");
  expect(await client.ask("vMustReplyEmpty")).toBe("");
  expect(await client.ask("qXfer:features:read:other.xml:0,100")).toBe("E00");
  expect(await client.ask("vAttach;63")).toBe("E03");
});

test("objects come in pieces; files and text of the machine come as they are", async () => {
  await using client = await Client.start(EXIT);
  expect(await client.ask("qXfer:exec-file:read:1:0,4")).toBe("m/pro");
  expect(await client.ask("qXfer:exec-file:read:1:4,64")).toBe("lgram");
  expect((await client.ask("qXfer:auxv:read::0,1000"))[0]).toBe("l");
  const fd = await client.ask(`vFile:open:${textToHex("/program")},0,0`);
  expect(fd).toBe("F3");
  expect(await client.ask("vFile:pread:3,4,0")).toBe("F4;\x7fELF");
  expect((await client.ask("vFile:fstat:3")).slice(0, 4)).toBe("F40;");
  expect([await client.ask("vFile:close:3"), await client.ask("vFile:close:3")]).toEqual(["F0", "F-1,9"]);
  expect(await client.ask(`vFile:open:${textToHex("/none")},0,0`)).toBe("F-1,2");
  expect(await client.ask(`vFile:open:${textToHex("/program")},1,0`)).toBe("F-1,1e");
  expect(hexToText(await client.ask(`qRcmd,${textToHex("ps")}`))).toMatch(/^\* {3}1 +0 +1 program$/m);
});
