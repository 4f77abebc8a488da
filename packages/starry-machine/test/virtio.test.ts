/// <reference types="node" />
/**
 * virtio in the whole machine: a program of the guest talks over /dev/hvc0, on every kind of ring, and its root file system comes
 * from a disk behind the same.
 */
import { assembleKernel, embeddedRoot, seededRandom } from "../src/index.ts";
import { embeddedRootImage } from "../src/node/index.ts";
import { spawnProcess } from "starry-kernel";
import { describe, expect, test } from "vitest";
import { type Board, createBoard, loopHost, runLoop, VirtualClock, type VirtioRingOptions } from "virt-machine";

interface Session {
  readonly board: Board;
  /** What the guest wrote to hvc0 and to its serial console. */
  readonly hvc: () => string;
  readonly serial: () => string;
  /** Until the first process has ended: its exit status. */
  readonly finished: Promise<number>;
}

function start(command: string, virtioRings: VirtioRingOptions = {}): Session {
  const decoder = new TextDecoder();
  let hvc = "";
  let serial = "";
  const board = createBoard({
    memorySize: 128 << 20,
    disks: [{ backend: embeddedRoot(embeddedRootImage()) }],
    onOutput: (bytes) => (serial += decoder.decode(bytes.slice())),
    virtioConsole: { onOutput: (bytes) => (hvc += decoder.decode(bytes.slice())), columns: 91, rows: 37 },
    virtioRings,
    clock: new VirtualClock(),
    fillRandom: seededRandom(1),
  });
  const { kernel } = assembleKernel(board, { commandLine: "", readOnlyRoot: false });
  const init = spawnProcess(kernel, {
    path: "/bin/sh",
    argv: ["sh", "-c", command],
    envp: ["PATH=/bin:/usr/bin:/sbin"],
    cwd: "/",
    files: ["/dev/ttyS0", "/dev/ttyS0", "/dev/ttyS0"],
  });
  if (typeof init === "number") throw new Error(`spawn: ${init}`);
  const running = runLoop((budget) => kernel.step(budget), loopHost(globalThis), {
    ...board.loopOptions(),
    isHalted: () => kernel.halted !== null,
  });
  board.onInterrupt = running.wake;
  const finished = running.finished.then(() => {
    board.poll();
    return kernel.halted?.status ?? -1;
  });
  return { board, hvc: () => hvc, serial: () => serial, finished };
}

/** Lets the machine run until `isDone`. */
async function until(isDone: () => boolean): Promise<void> {
  const limit = performance.now() + 60_000;
  while (!isDone()) {
    if (performance.now() > limit) throw new Error("the machine did not get there in a minute");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const RINGS: readonly [name: string, rings: VirtioRingOptions][] = [
  ["split", {}],
  ["packed", { packed: true }],
  ["packed, in order, notification data", { packed: true, inOrder: true, notificationData: true }],
  ["split, in order, without events and indirect tables", { inOrder: true, eventIdx: false, indirect: false }],
];

describe.each(RINGS)("a machine with %s rings", (_, rings) => {
  test("a program talks over hvc0: it prints, hears what is typed, and sees the terminal's size", async () => {
    const session = start(
      "stty size < /dev/hvc0 > /dev/hvc0; echo name? > /dev/hvc0; read name < /dev/hvc0; echo hello $name > /dev/hvc0; cat /bin/sh | wc -c; exit 5",
      rings,
    );
    await until(() => session.hvc().includes("name?"));
    expect(session.board.console?.input(new TextEncoder().encode("world\r"))).toBe(6);
    expect(await session.finished).toBe(5);
    expect(session.hvc().replaceAll("\r", "")).toBe("37 91\nname?\nworld\nhello world\n");
    expect(Number(session.serial())).toBeGreaterThan(10_000);
  });
});
