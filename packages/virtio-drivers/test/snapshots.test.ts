/** Devices that are saved, and restored in another machine, under drivers that notice nothing. */
import {
  BalloonDevice,
  BlockDevice,
  ConsoleDevice,
  GpuDevice,
  InputDevice,
  KEYBOARD,
  NetDevice,
  VirtioMmio,
  type VirtioModel,
  VsockDevice,
} from "virt-devices";
import { describe, expect, test } from "vitest";
import {
  unwrap,
  VirtIOBalloon,
  VirtIOBlk,
  VirtIOConsole,
  VirtIOGpu,
  VirtIOInput,
  VirtIONet,
  VirtIOSocket,
} from "../src/index.ts";
import { createRig, ok, pattern, RAM_BASE, type Rig, TestDisk } from "./rig.ts";

/** Puts `model` in the place of `old`: what the registers reach from then on, in the state that was saved. */
function replace(rig: Rig, model: VirtioModel, mmio: object, old: VirtioMmio = rig.device): VirtioMmio {
  const device = new VirtioMmio(model, {
    memory: { bytes: rig.ram, base: RAM_BASE, size: rig.ram.length },
    irq: { raise: () => void (rig.irq.high = true), lower: () => void (rig.irq.high = false) },
    ...mmio,
  });
  device.restore(JSON.parse(JSON.stringify(old.save())));
  Object.assign(rig.region, {
    read8: (offset: number) => device.read(offset, 1),
    read16: (offset: number) => device.read(offset, 2),
    read32: (offset: number) => device.read(offset, 4),
    write8: (offset: number, value: number) => device.write(offset, 1, value),
    write16: (offset: number, value: number) => device.write(offset, 2, value),
    write32: (offset: number, value: number) => device.write(offset, 4, value),
  });
  return device;
}

const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);

describe.each([{}, { packed: true }, { packed: true, eventIdx: false, inOrder: true }])("rings: %o", (mmio) => {
  test("block: any number of requests later", () => {
    const disk = new TestDisk(256);
    disk.bytes.set(pattern(256 * 512, 7));
    const rig = createRig(new BlockDevice({ backend: disk, queueCount: 2 }), { mmio });
    const blk = ok(VirtIOBlk.create(rig.hal, rig.transport, { queueCount: 2 }));
    const buffer = new Uint8Array(512);
    let { device } = rig;
    for (let i = 0; i < 300; i++) {
      for (let k = 0; k < i % 5; k++) expect(blk.completeReadBlocks(blk.readBlocksNb(k, buffer))).toBe(0);
      if (i % 60 === 0) device = replace(rig, new BlockDevice({ backend: disk, queueCount: 2 }), mmio, device);
      expect(blk.readBlocks(i % 256, buffer)).toBe(0);
      expect(buffer).toEqual(disk.bytes.subarray((i % 256) * 512, (i % 256) * 512 + 512));
    }
  });

  test("network: filters and address", () => {
    const create = (): NetDevice => new NetDevice({ backend: { send: () => {} }, mac: MAC });
    const rig = createRig(create(), { mmio });
    const net = ok(VirtIONet.create(rig.hal, rig.transport));
    const other = Uint8Array.of(2, 0, 0, 0, 0, 9);
    net.setReceiveMode("promiscuous", false);
    net.setMacTables([other], []);
    net.setVlan(7, true);
    const device = create();
    replace(rig, device, mmio);
    const frame = (to: Uint8Array, type: readonly number[] = [8, 0]): Uint8Array => {
      const bytes = new Uint8Array(60);
      bytes.set(to);
      bytes.set(type, 12);
      return bytes;
    };
    expect(
      [
        frame(other),
        frame(MAC),
        frame(other, [0x81, 0, 0, 7]),
        frame(other, [0x81, 0, 0, 8]),
        frame(MAC.map((x) => x + 4)),
      ].map((each) => device.receive(each)),
    ).toEqual([true, true, true, false, false]);
    const target = new Uint8Array(100);
    expect([net.receive(target), net.receive(target), net.receive(target)]).toEqual([60, 60, 60]);
  });

  test("console: typed bytes that wait, ports that are open", () => {
    const opened: boolean[] = [];
    const create = (): ConsoleDevice =>
      new ConsoleDevice({
        onOutput: () => {},
        ports: [{ name: "p", onOutput: () => {}, onGuestOpen: (is) => opened.push(is) }],
      });
    const model = create();
    const rig = createRig(model, { mmio });
    const driver = ok(VirtIOConsole.create(rig.hal, rig.transport));
    driver.setOpen(driver.ports[1], true);
    const typed = pattern(9000, 1);
    expect(model.input(typed)).toBe(9000);
    const other = create();
    replace(rig, other, mmio);
    expect(other.ports[1].isGuestOpen).toBe(true);
    const target = new Uint8Array(10_000);
    let done = 0;
    for (let n = driver.read(target); n > 0; n = driver.read(target.subarray(done))) done += n;
    expect(target.subarray(0, done)).toEqual(typed);
    driver.setOpen(driver.ports[1], true);
    driver.setOpen(driver.ports[1], false);
    expect(opened).toEqual([true, false]); // the second opening is none
  });

  test("input, balloon: events and statistics that wait", () => {
    const model = new InputDevice(KEYBOARD);
    const rig = createRig(model, { mmio });
    const input = ok(VirtIOInput.create(rig.hal, rig.transport));
    for (let code = 1; code <= 100; code++) {
      model.event(1, code, 1);
      model.sync();
    }
    replace(rig, new InputDevice(KEYBOARD), mmio);
    const event = { type: 0, code: 0, value: 0 };
    const codes: number[] = [];
    while (input.nextEvent(event) === 0) if (event.type === 1) codes.push(event.code);
    expect(codes).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));

    const seen: object[] = [];
    const balloonRig = createRig(new BalloonDevice(), { mmio });
    const balloon = ok(VirtIOBalloon.create(balloonRig.hal, balloonRig.transport));
    const device = new BalloonDevice({ onStats: (stats) => seen.push(stats) });
    replace(balloonRig, device, mmio);
    for (let i = 1; i <= 40; i++) {
      expect([device.requestStats(), balloon.setStats({ freeMemory: i })]).toEqual([true, 0]);
      expect(seen.at(-1)).toEqual({ freeMemory: i });
    }
  });

  test("gpu, socket: what was the host's is gone, and the guest is told", () => {
    const screen = { onFlush: (): void => {} };
    const rig = createRig(new GpuDevice({ screen }), { mmio });
    const gpu = ok(VirtIOGpu.create(rig.hal, rig.transport));
    unwrap(gpu.setFramebuffer(64, 64));
    replace(rig, new GpuDevice({ screen }), mmio);
    expect(gpu.handleInterrupt()).toBe(true);
    expect(gpu.flush(0, 0, 64, 64)).toBeLessThan(0);
    expect(unwrap(gpu.setFramebuffer(64, 64)).length).toBe(64 * 64 * 4);
    expect(gpu.flush(0, 0, 64, 64)).toBe(0);

    const model = new VsockDevice({ guestCid: 3 });
    model.listen(1, () => ({}));
    const socketRig = createRig(model, { mmio });
    const socket = ok(VirtIOSocket.create(socketRig.hal, socketRig.transport));
    const connection = unwrap(socket.connect(1));
    socket.poll();
    expect(connection.state).toBe("connected");
    replace(socketRig, new VsockDevice({ guestCid: 3 }), mmio);
    connection.write(Uint8Array.of(1));
    socket.poll();
    expect(connection.state).toBe("closed");
  });
});
