/**
 * A kernel of one's own, from parts: no disk, no terminal, no pipes, no sockets, no /proc. Its root is a tmpfs filled by
 * hand, its only device a printer on the board's UART, and it has a system call that Linux has not.
 *
 *   node dist/custom-kernel.js ['COMMANDS']
 */
import { readFileSync } from "node:fs";
import * as abi from "linux-abi";
import { assemble } from "rv64-cpu/asm";
import { full, installFileSystems, type IoBuffer, Kernel, OpenFile, row, spawnProcess, type Task } from "starry-kernel";
import { ROOT_CREDENTIALS } from "vfs-inode";
import { createBoard, loopHost, runLoop, UART0_BASE, VirtualClock } from "virt-machine";

const { SYS_exit, SYS_write } = abi;
const [commands = "echo This is process $$, and these are its files:; ls -l /bin /dev; hello one two; secret"] =
  process.argv.slice(2);

// 1. The board: 32 MiB of RAM, a hart, a UART. Time passes with instructions, so every run is the same.
const board = createBoard({
  memorySize: 32 << 20,
  onOutput: (bytes) => process.stdout.write(Uint8Array.from(bytes)),
  clock: new VirtualClock(),
  fillRandom: (bytes) => void bytes.fill(4),
});
const kernel = new Kernel({ platform: board.platform() });

// 2. A character device. Reads answer EINVAL, seeks ESPIPE, ioctls ENOTTY: that is what OpenFile does by itself.
const PRINTER_MAJOR = 240; // "local/experimental use", devices.txt
class PrinterFile extends OpenFile {
  override write(_task: Task, buffer: IoBuffer): number {
    const bytes = new Uint8Array(buffer.remaining);
    const count = buffer.take(bytes, 0, bytes.length);
    for (const byte of bytes.subarray(0, count)) uart.write8(0, byte); // the transmit register
    return buffer.result(count);
  }
}
const uart = kernel.platform.mmio(UART0_BASE, 8);
kernel.charDevices.register(PRINTER_MAJOR, 0, 1, {
  name: "printer",
  open: (_task, _rdev, flags) => new PrinterFile(flags),
});

// 3. A system call: rot13(text, byteLength) changes a program's memory in place.
const SYS_rot13 = 500;
const rot13 = (c: number) => ((c | 32) >= 97 && (c | 32) <= 122 ? c + ((c | 32) < 110 ? 13 : -13) : c);
kernel.addSyscalls([
  row(SYS_rot13, "rot13", "text:out_buf byteLength:size", full, (task, address, byteLength) => {
    const bytes = new Uint8Array(Math.min(byteLength, 4096));
    const error = task.memory.copyIn(address, bytes, 0, bytes.length);
    return error || task.memory.copyOut(address, bytes.map(rot13), 0, bytes.length) || bytes.length;
  }),
]);

// 4. A program that uses it, in assembly.
const secret = assembleProgram(`
        la    a0, text
        li    a1, 29
        li    a7, ${SYS_rot13}
        ecall
        li    a0, 1
        la    a1, text
        li    a2, 29
        li    a7, ${SYS_write}
        ecall
        li    a0, 7
        li    a7, ${SYS_exit}
        ecall
  text: .ascii "Uryyb sebz n arj flfgrz pnyy\\n"
`);

// 5. The root file system.
const files = installFileSystems(kernel);
const { vfs } = files;
const root = files.mountRoot(files.createTmpfs(), "none", 0).rootPath;
const context = { root, cwd: root, umask: 0, credentials: ROOT_CREDENTIALS };
for (const name of ["/bin", "/dev"]) check(vfs.mkdir(context, null, name, 0o755));
check(vfs.mknod(context, null, "/dev/printer", abi.S_IFCHR | 0o222, abi.makedev(PRINTER_MAJOR, 0)));
const userland = new URL("../../../packages/userland/bin/", import.meta.url);
addProgram("/bin/starrybox", readFileSync(new URL("starrybox", userland)));
addProgram("/bin/hello", readFileSync(new URL("hello", userland)));
addProgram("/bin/secret", secret);
for (const name of ["sh", "ls"]) check(vfs.symlink(context, "starrybox", null, `/bin/${name}`));

// 6. Process 1, and turns of a million instructions until it ends.
const init = spawnProcess(kernel, {
  path: "/bin/sh",
  argv: ["sh", "-c", commands],
  envp: ["PATH=/bin"],
  files: ["/dev/printer", "/dev/printer", "/dev/printer"],
});
if (typeof init === "number") check(init);
const isHalted = () => kernel.halted !== null;
await runLoop((budget) => kernel.step(budget), loopHost(globalThis), { ...board.loopOptions(), isHalted }).finished;
console.log(`${kernel.halted?.message}; ${board.hart.instret} instructions`);
process.exitCode = kernel.halted?.status ?? 0;

function addProgram(path: string, bytes: Uint8Array): void {
  const file = vfs.open(context, null, path, abi.O_CREAT | abi.O_WRONLY, 0o755);
  if (typeof file === "number") return check(file);
  check(file.write(bytes));
  file.close();
}

/** An ELF file with one segment: headers, then code and data. */
function assembleProgram(source: string): Uint8Array {
  const base = 0x1_0000;
  const headerBytes = abi.EHDR_SIZE + abi.PHDR_SIZE;
  const { bytes } = assemble(source, { origin: base + headerBytes });
  const elf = new Uint8Array(headerBytes + bytes.length);
  const view = new DataView(elf.buffer);
  const segment = abi.EHDR_SIZE;
  elf.set([0x7f, 0x45, 0x4c, 0x46, abi.ELFCLASS64, abi.ELFDATA2LSB, abi.EV_CURRENT]);
  view.setUint16(abi.EHDR_E_TYPE, abi.ET_EXEC, true);
  view.setUint16(abi.EHDR_E_MACHINE, abi.EM_RISCV, true);
  view.setUint32(abi.EHDR_E_ENTRY, base + headerBytes, true);
  view.setUint32(abi.EHDR_E_PHOFF, abi.EHDR_SIZE, true);
  view.setUint16(abi.EHDR_E_PHENTSIZE, abi.PHDR_SIZE, true);
  view.setUint16(abi.EHDR_E_PHNUM, 1, true);
  view.setUint32(segment + abi.PHDR_P_TYPE, abi.PT_LOAD, true);
  view.setUint32(segment + abi.PHDR_P_FLAGS, abi.PF_R | abi.PF_W | abi.PF_X, true);
  view.setUint32(segment + abi.PHDR_P_VADDR, base, true);
  view.setUint32(segment + abi.PHDR_P_FILESZ, elf.length, true);
  view.setUint32(segment + abi.PHDR_P_MEMSZ, elf.length, true);
  view.setUint32(segment + abi.PHDR_P_ALIGN, 4096, true);
  elf.set(bytes, headerBytes);
  return elf;
}

function check(result: number): void {
  if (result < 0) throw new Error(abi.errnoMessage(result));
}
