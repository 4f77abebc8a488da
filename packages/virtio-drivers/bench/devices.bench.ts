/** Network, 9P, console, socket and entropy: driver and device model in one process. Frames and bytes a second. */
/// <reference types="node" />
import {
  ConsoleDevice,
  EntropyDevice,
  EthernetHub,
  MemoryFolder,
  P9Device,
  VirtioMmio,
  type VirtioModel,
  VsockDevice,
} from "virt-devices";
import {
  type Hal,
  MmioTransport,
  P9Client,
  PAGE_SIZE,
  RamHal,
  unwrap,
  VirtIO9p,
  VirtIOConsole,
  VirtIONet,
  VirtIORng,
  VirtIOSocket,
} from "virtio-drivers";

const RAM_BASE = 0x8000_0000;

function connect(model: VirtioModel): { hal: Hal; transport: MmioTransport } {
  const ram = new Uint8Array(8 << 20);
  const device = new VirtioMmio(model, {
    memory: { bytes: ram, base: RAM_BASE, size: ram.length },
    irq: { raise(): void {}, lower(): void {} },
  });
  let nextFrame = 0;
  const hal = new RamHal({
    bytes: ram,
    base: RAM_BASE,
    allocFrames: (count) => RAM_BASE + ((nextFrame += count) - count) * PAGE_SIZE,
    freeFrames: () => {},
    mapMmio: () => ({
      read8: (offset) => device.read(offset, 1),
      read16: (offset) => device.read(offset, 2),
      read32: (offset) => device.read(offset, 4),
      write8: (offset, value) => device.write(offset, 1, value),
      write16: (offset, value) => device.write(offset, 2, value),
      write32: (offset, value) => device.write(offset, 4, value),
    }),
  });
  return { hal, transport: unwrap(MmioTransport.create(hal.mmioPhysToVirt(0, PAGE_SIZE))) };
}

function figure(name: string, value: number, unit: string): void {
  console.log(JSON.stringify({ name, value, unit }));
}

/** Calls `work` for about a third of a second, three times; returns the best rate a second. */
function rate(work: () => boolean): number {
  let best = 0;
  for (let round = 0; round < 4; round++) {
    const started = performance.now();
    let count = 0;
    while (performance.now() - started < 300) {
      for (let k = 0; k < 50; k++) if (!work()) throw new Error("it failed");
      count += 50;
    }
    best = Math.max(best, (count / (performance.now() - started)) * 1000);
  }
  return best;
}

const hub = new EthernetHub();
const [one, two] = [1, 2].map((n) => {
  const { hal, transport } = connect(hub.attach({ mac: Uint8Array.of(2, 0, 0, 0, 0, n) }));
  return unwrap(VirtIONet.create(hal, transport));
});
const frame = new Uint8Array(1514).fill(0xff);
const target = new Uint8Array(65536);
const frames = rate(() => one.send(frame) === 0 && two.receive(target) === 1514);
figure("virtio-net guest to guest, 1514-byte frames", frames / 1000, "k/s");
figure("virtio-net guest to guest", (frames * 1514) / 1e6, "MB/s");

const now = (): { seconds: number; nanoseconds: number } => ({ seconds: 1, nanoseconds: 0 });
const folder = new MemoryFolder({ now, files: { big: new Uint8Array(4 << 20), "a/b/c": new Uint8Array(10) } });
const shared = connect(new P9Device({ folder, tag: "host", now }));
const codec = {
  encode: (text: string) => new TextEncoder().encode(text),
  decode: (bytes: Uint8Array) => new TextDecoder().decode(bytes),
};
const client = P9Client.mount(unwrap(VirtIO9p.create(shared.hal, shared.transport)), codec);
if (typeof client === "number") throw new Error(`mount: ${client}`);
const file = client.walk(0, ["big"]);
client.open(file, 2);
let at = 0;
const reads = rate(() => {
  at = (at + 61_440) % (3 << 20);
  return client.read(file, target.subarray(0, 61_440), at) === 61_440;
});
figure("9P read, 60 KiB messages", (reads * 61_440) / 1e6, "MB/s");
const writes = rate(() => {
  at = (at + 61_440) % (3 << 20);
  return client.write(file, target.subarray(0, 61_440), at) === 61_440;
});
figure("9P write, 60 KiB messages", (writes * 61_440) / 1e6, "MB/s");
const stats = rate(() => {
  const fid = client.walk(0, ["a", "b", "c"]);
  const stat = client.stat(fid);
  return client.clunk(fid) === 0 && typeof stat !== "number";
});
figure("9P walk, stat and clunk", stats / 1000, "k/s");

const terminal = connect(new ConsoleDevice({ onOutput: () => {} }));
const console0 = unwrap(VirtIOConsole.create(terminal.hal, terminal.transport));
const text = new Uint8Array(4096);
figure("virtio-console output, 4 KiB", (rate(() => console0.write(text) === 4096) * 4096) / 1e6, "MB/s");

let received = 0;
const socketDevice = new VsockDevice({ guestCid: 3 });
socketDevice.listen(1, () => ({ onData: (bytes) => void (received += bytes.length) }));
const stream = connect(socketDevice);
const socket = unwrap(VirtIOSocket.create(stream.hal, stream.transport));
const connection = unwrap(socket.connect(1));
socket.poll();
const sends = rate(() => {
  const sent = connection.write(text);
  socket.poll();
  return sent === 4096;
});
figure("vsock guest to host, 4 KiB", (sends * 4096) / 1e6, "MB/s");

const entropy = connect(new EntropyDevice({ fillRandom: (bytes) => void bytes.fill(1) }));
const rng = unwrap(VirtIORng.create(entropy.hal, entropy.transport));
figure("virtio-rng, 4 KiB requests", rate(() => rng.fill(text) === 0) / 1000, "k/s");
