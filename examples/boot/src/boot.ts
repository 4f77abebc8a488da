/**
 * The whole machine, assembled from the packages by hand: hardware, kernel, root file system, console, first process.
 * `starry-machine` does the same in one call; this is the version to take apart.
 *
 *   npm run boot                                   a shell; Ctrl-A X leaves
 *   npm run boot -- -c 'uname -a; ls /'            run commands, power off, pass the exit status on
 *   npm run boot -- --debian bash,coreutils        a Debian root, built once and kept
 *   npm run boot -- --image FILE -m 1G             an ext4 image of one's own (changes are thrown away)
 */
import { parseArgs } from "node:util";
import { type BlockDevice, OverlayDisk } from "blockdev-disk";
import { FileDisk } from "blockdev-disk/node";
import { Ext4FileSystem } from "ext4-fs";
import { errnoMessage, MS_RELATIME } from "linux-abi";
import * as starry from "starry-kernel";
import { embeddedRoot, installExt4, memorySize } from "starry-machine";
import { attachTerminal, debianImage, embeddedRootImage } from "starry-machine/node";
import { createBoard, hostClock, loopHost, runLoop } from "virt-machine";

const { values } = parseArgs({
  options: {
    command: { type: "string", short: "c" },
    debian: { type: "string" },
    image: { type: "string" },
    mem: { type: "string", short: "m", default: "512M" },
  },
});

// 1. Disks. The guest writes to an overlay; the image below stays as it is.
const image = values.image ?? (values.debian && debianImage(values.debian.split(","), (line) => console.error(line)));
const base: BlockDevice = image ? new FileDisk(image, { readOnly: true }) : embeddedRoot(embeddedRootImage());
const disk = new OverlayDisk(base);

// 2. Hardware: QEMU's virt board with RAM, a hart, interrupt controllers, a UART and virtio slots.
const board = createBoard({
  memorySize: memorySize(values.mem),
  disks: [{ backend: disk }],
  onOutput: (bytes) => process.stdout.write(Uint8Array.from(bytes)),
  clock: hostClock(globalThis),
  fillRandom: (bytes) => void crypto.getRandomValues(bytes),
});

// 3. The kernel and its drivers: they see registers, RAM and interrupts, never a device object.
const kernel = new starry.Kernel({ platform: board.platform() });
const plic = starry.Plic.at(kernel.platform);
kernel.handleInterrupt = () => plic.dispatch();
starry.installTerminals(kernel);
const console0 = starry.addSerialConsole(kernel, plic);
starry.probeVirtio(kernel, starry.kernelHal(kernel), plic);

// 4. Subsystems. Leave one out and its system calls answer ENOSYS.
const files = starry.installFileSystems(kernel);
installExt4(kernel);
starry.installIo(kernel);
starry.installSockets(kernel);
starry.installIpc(kernel);
starry.installTracefs(kernel, starry.tracepointInit(kernel));

// 5. The root file system, on the first disk, and the usual mounts below it.
const vda = kernel.blockDevices.get("vda");
if (vda === undefined) throw new Error("no disk");
const { clock } = kernel;
files.mountRoot(
  new Ext4FileSystem(vda.device, {
    deviceNumber: vda.rdev,
    now: () => ({ sec: clock.realtimeSec(clock.monotonicNs()), nsec: clock.realtimeNsec(clock.monotonicNs()) }),
  }),
  "/dev/vda",
  MS_RELATIME,
);
starry.mountStandard(files);

// 6. The first process, with the console as its terminal.
const shell = image ? "/bin/bash" : "/sbin/init";
const argv = values.command === undefined ? [image ? "-bash" : "init"] : [shell, "-c", values.command];
const init = starry.spawnProcess(kernel, {
  path: shell,
  argv,
  envp: [
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    `TERM=${process.env.TERM ?? "linux"}`,
  ],
  cwd: "/root",
  files: ["/dev/ttyS0", "/dev/ttyS0", "/dev/ttyS0"],
});
if (typeof init === "number") throw new Error(`${shell}: ${errnoMessage(init)}`);

// 7. Keys, and the loop that runs it all until the first process ends.
const running = runLoop((budget) => kernel.step(budget), loopHost(globalThis), {
  ...board.loopOptions(),
  isHalted: () => kernel.halted !== null,
});
board.onInterrupt = running.wake;
const detach = process.stdin.isTTY
  ? attachTerminal(process.stdin, process.stdout, {
      input: (bytes) => void board.input(bytes),
      resize: (columns, rows) => console0.resize({ columns, rows, xPixels: 0, yPixels: 0 }),
      leave: () => {
        kernel.halt("stopped", 0, "left with Ctrl-A X");
        running.wake();
      },
    })
  : () => {};
if (!process.stdin.isTTY) process.stdin.on("data", (bytes) => board.input(bytes)).unref?.();
const keepAlive = setInterval(() => {}, 1 << 30);
await running.finished;
board.poll();
starry.shutDown(kernel);
clearInterval(keepAlive);
detach();
process.exit(kernel.halted?.status ?? 0);
