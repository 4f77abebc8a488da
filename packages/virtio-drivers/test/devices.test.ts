/** Each driver against its device model, over split and packed rings. */
import {
  BalloonDevice,
  BlockDevice,
  ConsoleDevice,
  type CursorPicture,
  EthernetHub,
  GpuDevice,
  InputDevice,
  KEYBOARD,
  NetDevice,
  TABLET,
  type VsockSocket,
  VsockDevice,
} from "virt-devices";
import { describe, expect, test } from "vitest";
import {
  type ConsolePort,
  CURSOR_SIDE,
  ERR_INVALID_PARAM,
  ERR_IO,
  ERR_NOT_READY,
  ERR_QUEUE_FULL,
  ERR_UNSUPPORTED,
  unwrap,
  VirtIOBalloon,
  VirtIOBlk,
  VirtIOConsole,
  VirtIOGpu,
  VirtIOInput,
  VirtIONet,
  VirtIOSocket,
  type VsockConnection,
} from "../src/index.ts";
import { createRig, firstDifference, ok, pattern, RAM_BASE, type Rig, type RigOptions, TestDisk } from "./rig.ts";

const LAYOUTS = [
  ["split", {}],
  ["packed", { packed: true }],
  ["packed, in order, no events", { packed: true, inOrder: true, eventIdx: false }],
] as const;
const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
const bytesOf = (string: string): Uint8Array => Uint8Array.from(string, (c) => c.charCodeAt(0));
const MAC_A = Uint8Array.of(2, 0, 0, 0, 0, 1);
const MAC_B = Uint8Array.of(2, 0, 0, 0, 0, 2);
const BROADCAST = new Uint8Array(6).fill(0xff);

/** An Ethernet frame with a payload that differs from frame to frame. */
function frameOf(to: Uint8Array, from: Uint8Array, length: number, seed: number = 0): Uint8Array {
  const frame = pattern(length, seed);
  frame.set(to, 0);
  frame.set(from, 6);
  frame.set([0x08, 0x00], 12);
  return frame;
}

/** Everything was given back, and the device found nothing wrong. */
function expectClean(rig: Rig, driver: { release(): void }): void {
  expect(rig.guestErrors).toEqual([]);
  driver.release();
  rig.hal.trim();
  expect(rig.frames.usedCount).toBe(0);
}

describe.each(LAYOUTS)("net, %s", (_, mmio) => {
  const options: RigOptions = { mmio };

  test("frames go between two guests on one hub, each with its own address", () => {
    const hub = new EthernetHub();
    const rigs = [MAC_A, MAC_B].map((mac) => createRig(hub.attach({ mac }), options));
    const [a, b] = rigs.map((rig) => ok(VirtIONet.create(rig.hal, rig.transport)));
    expect([a.macAddress(), b.macAddress(), a.mtu]).toEqual([MAC_A, MAC_B, 1500]);
    const target = new Uint8Array(2048);
    for (let i = 0; i < 300; i++) {
      const frame = frameOf(MAC_B, MAC_A, 60 + ((i * 37) % 1455), i);
      expect(a.send(frame)).toBe(0);
      expect(b.canReceive()).toBe(true);
      expect(b.receive(target)).toBe(frame.length);
      expect(firstDifference(target.subarray(0, frame.length), frame)).toBe(-1);
    }
    expect([a.receive(target), b.receive(target)]).toEqual([ERR_NOT_READY, ERR_NOT_READY]);
    expect(rigs[1].irq.high).toBe(true);
    expect(b.handleInterrupt()).toBe(1);
    expectClean(rigs[0], a);
    expectClean(rigs[1], b);
  });

  test.each([true, false])("frames up to the MTU are taken, in several buffers with MRG_RXBUF: %s", (mergeable) => {
    const sent: number[] = [];
    const backend = { send: (frame: Uint8Array): unknown => sent.push(frame.length) };
    const device = new NetDevice({ backend, mac: MAC_A, mtu: 9000, mergeable });
    const rig = createRig(device, options);
    const net = ok(VirtIONet.create(rig.hal, rig.transport));
    expect(net.mtu).toBe(9000);
    const target = new Uint8Array(9100);
    for (const length of [2035, 2036, 2037, 4084, 4085, 9014, 9018]) {
      const frame = frameOf(MAC_A, MAC_B, length, length);
      if (length > 9014) frame.set([0x81, 0x00], 12); // a VLAN tag does not count
      expect(device.receive(frame)).toBe(true);
      expect(net.receive(target)).toBe(length);
      expect(firstDifference(target.subarray(0, length), frame)).toBe(-1);
      expect(net.send(frame)).toBe(0);
    }
    expect(sent).toEqual([2035, 2036, 2037, 4084, 4085, 9014, 9018]);
    expect([net.send(new Uint8Array(9015)), device.receive(new Uint8Array(9015))]).toEqual([ERR_INVALID_PARAM, false]);
    device.receive(frameOf(MAC_A, MAC_B, 100));
    expect(net.receive(new Uint8Array(99))).toBe(ERR_INVALID_PARAM); // too small a target loses the frame
    device.receive(frameOf(MAC_A, MAC_B, 100));
    expect(net.receive(target)).toBe(100);
    expectClean(rig, net);
  });

  test("a frame that no buffer can hold is lost, and the next one comes", () => {
    const device = new NetDevice({ backend: { send: () => {} }, mac: MAC_A, mergeable: false });
    const rig = createRig(device, options);
    const net = ok(VirtIONet.create(rig.hal, rig.transport));
    const target = new Uint8Array(9100);
    device.receive(frameOf(MAC_A, MAC_B, 3000));
    expect([net.receive(target), device.dropped]).toEqual([ERR_IO, 1]);
    device.receive(frameOf(MAC_A, MAC_B, 100));
    expect(net.receive(target)).toBe(100);
    expectClean(rig, net);
  });

  test("frames wait for buffers, up to the device's limit, and come in order", () => {
    const device = new NetDevice({ backend: { send: () => {} }, mac: MAC_A, backlogBytes: 50_000 });
    const rig = createRig(device, options);
    const net = ok(VirtIONet.create(rig.hal, rig.transport, { receiveBuffers: 8 }));
    const accepted = Array.from({ length: 100 }, (_, i) => device.receive(frameOf(MAC_A, MAC_B, 1000, i)));
    expect(accepted.filter((isTaken) => isTaken).length).toBe(58); // 8 in buffers, 50 in the backlog
    expect(device.dropped).toBe(42);
    const target = new Uint8Array(2048);
    for (let i = 0; i < 58; i++) {
      expect(net.receive(target)).toBe(1000);
      expect(target[100]).toBe(frameOf(MAC_A, MAC_B, 1000, i)[100]);
    }
    expect(net.receive(target)).toBe(ERR_NOT_READY);
    expectClean(rig, net);
  });

  test("filters: address, tables, multicast, broadcast, VLAN", () => {
    const device = new NetDevice({ backend: { send: () => {} }, mac: MAC_A });
    const rig = createRig(device, options);
    const net = ok(VirtIONet.create(rig.hal, rig.transport));
    const other = Uint8Array.of(2, 9, 9, 9, 9, 9);
    const group = Uint8Array.of(1, 0, 0x5e, 0, 0, 7);
    const accepts = (to: Uint8Array): boolean => device.receive(frameOf(to, MAC_B, 60));
    const all = (): boolean[] => [MAC_A, other, group, BROADCAST].map(accepts);
    expect(all()).toEqual([true, true, true, true]);
    expect(net.setReceiveMode("promiscuous", false)).toBe(0);
    expect(all()).toEqual([true, false, false, true]);
    expect(net.setMacTables([other], [group])).toBe(0);
    expect(all()).toEqual([true, true, true, true]);
    expect(net.setMacTables([], [])).toBe(0);
    expect(net.setReceiveMode("allMulticast", true)).toBe(0);
    expect(net.setReceiveMode("noBroadcast", true)).toBe(0);
    expect(all()).toEqual([true, false, true, false]);
    expect(net.setReceiveMode("noUnicast", true)).toBe(0);
    expect(all()).toEqual([false, false, true, false]);
    expect(net.setReceiveMode("noUnicast", false)).toBe(0);
    expect(net.setMacAddress(other)).toBe(0);
    expect([net.macAddress(), all()]).toEqual([other, [false, true, true, false]]);
    const tagged = frameOf(other, MAC_B, 64);
    tagged.set([0x81, 0x00, 0x00, 0x05], 12);
    expect(net.setVlan(4, true)).toBe(0);
    expect(device.receive(tagged)).toBe(false);
    expect(net.setVlan(5, true)).toBe(0);
    expect(device.receive(tagged)).toBe(true);
    expect([net.setVlan(4096, true), net.setMacAddress(new Uint8Array(5))]).toEqual([
      ERR_INVALID_PARAM,
      ERR_INVALID_PARAM,
    ]);
    rig.transport.setStatus(0);
    expect(device.receive(frameOf(MAC_A, MAC_B, 60))).toBe(false);
    net.release();
  });

  test("the cable: pulled out, plugged in, announced", () => {
    const sent: number[] = [];
    const device = new NetDevice({ backend: { send: (frame) => sent.push(frame.length) }, mac: MAC_A });
    const rig = createRig(device, options);
    const net = ok(VirtIONet.create(rig.hal, rig.transport));
    expect(net.isLinkUp()).toBe(true);
    device.setLink(false);
    expect([net.handleInterrupt() & 2, net.isLinkUp()]).toEqual([2, false]);
    expect(net.send(frameOf(MAC_B, MAC_A, 60))).toBe(0);
    expect([sent, device.receive(frameOf(MAC_A, MAC_B, 60))]).toEqual([[], false]);
    device.setLink(true);
    expect(net.send(frameOf(MAC_B, MAC_A, 60))).toBe(0);
    expect(sent).toEqual([60]);
    expect([net.send(new Uint8Array(13)), net.send(new Uint8Array(1515))]).toEqual([
      ERR_INVALID_PARAM,
      ERR_INVALID_PARAM,
    ]);
    expectClean(rig, net);
  });

  test("a send that finds all buffers with a deaf device answers QueueFull", () => {
    const rig = createRig(new NetDevice({ backend: { send: () => {} }, mac: MAC_A }), options);
    rig.transport.notify = () => {};
    const net = ok(VirtIONet.create(rig.hal, rig.transport));
    const results = Array.from({ length: 40 }, () => net.send(frameOf(MAC_B, MAC_A, 60)));
    expect(results.filter((result) => result === 0).length).toBe(32);
    expect(results.at(-1)).toBe(ERR_QUEUE_FULL);
    net.release();
  });
});

describe.each(LAYOUTS)("console with several ports, %s", (_, mmio) => {
  function create() {
    const output: Record<string, string> = { console: "", log: "", agent: "" };
    const opened: string[] = [];
    const model = new ConsoleDevice({
      onOutput: (bytes) => (output.console += text(bytes)),
      columns: 100,
      rows: 40,
      ports: [
        { name: "org.example.log", onOutput: (bytes) => (output.log += text(bytes)) },
        {
          name: "org.example.agent",
          onOutput: (bytes) => (output.agent += text(bytes)),
          onGuestOpen: (isOpen) => opened.push(`agent ${isOpen}`),
        },
      ],
    });
    const rig = createRig(model, { mmio });
    const changes: string[] = [];
    const driver = ok(
      VirtIOConsole.create(rig.hal, rig.transport, { onPortChange: (port) => changes.push(`${port.id} ${port.name}`) }),
    );
    return { rig, model, driver, output, opened, changes };
  }
  const named = (driver: VirtIOConsole, name: string): ConsolePort => driver.ports.find((port) => port.name === name)!;

  test("ports are announced with names, and each carries its own bytes", () => {
    const { rig, model, driver, output } = create();
    expect(driver.ports.map(({ id, name, isConsole, isHostOpen }) => [id, name, isConsole, isHostOpen])).toEqual([
      [0, "", true, true],
      [1, "org.example.log", false, true],
      [2, "org.example.agent", false, true],
    ]);
    expect([driver.ports[0].columns, driver.ports[0].rows]).toEqual([100, 40]);
    driver.write(bytesOf("to the console"));
    named(driver, "org.example.log").write(bytesOf("a line"));
    expect(output).toEqual({ console: "to the console", log: "a line", agent: "" });
    model.input(bytesOf("typed"));
    model.ports[2].input(bytesOf("asked"));
    driver.handleInterrupt();
    const target = new Uint8Array(100);
    expect(text(target.subarray(0, driver.read(target)))).toBe("typed");
    expect(text(target.subarray(0, named(driver, "org.example.agent").read(target)))).toBe("asked");
    expect(named(driver, "org.example.log").read(target)).toBe(0);
    expectClean(rig, driver);
  });

  test("opening, closing, resizing", () => {
    const { model, driver, opened, changes } = create();
    const agent = named(driver, "org.example.agent");
    expect([driver.setOpen(agent, true), driver.setOpen(agent, true), driver.setOpen(agent, false)]).toEqual([0, 0, 0]);
    expect(opened).toEqual(["agent true", "agent false"]);
    changes.length = 0;
    model.setOpen(model.ports[2], false);
    model.resize(7, 8);
    driver.handleInterrupt();
    expect([agent.isHostOpen, driver.ports[0].columns, driver.ports[0].rows]).toEqual([false, 7, 8]);
    expect(driver.size()).toEqual({ columns: 7, rows: 8 });
    expect(changes).toEqual(["2 org.example.agent", "0 "]);
  });

  test("a driver that wants fewer ports than there are, and a device with one", () => {
    const { rig } = create();
    const driver = ok(VirtIOConsole.create(rig.hal, rig.transport, { maxPorts: 2 }));
    expect(driver.ports.map((port) => port.id)).toEqual([0, 1]);
    const single = createRig(new ConsoleDevice({ onOutput: () => {} }), { mmio });
    const plain = ok(VirtIOConsole.create(single.hal, single.transport));
    expect([plain.ports.length, plain.setOpen(plain.ports[0], true)]).toEqual([1, ERR_UNSUPPORTED]);
  });
});

describe.each(LAYOUTS)("input, %s", (_, mmio) => {
  test("what the device is", () => {
    const rig = createRig(new InputDevice({ ...TABLET, serial: "t-1", properties: [1] }), { mmio });
    const input = ok(VirtIOInput.create(rig.hal, rig.transport));
    expect([input.name(), input.serial()]).toEqual(["Virtual Tablet", "t-1"]);
    expect(input.ids()).toEqual({ bustype: 6, vendor: 0x0627, product: 3, version: 1 });
    expect(input.properties()).toEqual(Uint8Array.of(2));
    expect([input.supports(1, 0x110), input.supports(1, 0x113), input.supports(3, 1), input.supports(9, 0)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect(input.absInfo(0)).toEqual({ min: 0, max: 0x7fff, fuzz: 0, flat: 0, resolution: 0 });
    expect(input.absInfo(5)).toBeNull();
    expectClean(rig, input);
  });

  test("events arrive in order, also more than there are buffers; a report that does not fit is lost whole", () => {
    const device = new InputDevice(KEYBOARD);
    const rig = createRig(device, { mmio });
    const input = ok(VirtIOInput.create(rig.hal, rig.transport));
    for (let i = 0; i < 200; i++) {
      device.event(1, 30 + (i % 10), i % 2);
      device.sync();
    }
    expect(rig.irq.high).toBe(true);
    const event = { type: 0, code: 0, value: 0 };
    for (let i = 0; i < 200; i++) {
      expect([input.nextEvent(event), event]).toEqual([0, { type: 1, code: 30 + (i % 10), value: i % 2 }]);
      expect([input.nextEvent(event), event]).toEqual([0, { type: 0, code: 0, value: 0 }]);
    }
    expect(input.nextEvent(event)).toBe(ERR_NOT_READY);
    for (let i = 0; i < 3000; i++) {
      device.event(2, 0, -i);
      device.event(2, 1, i);
      device.sync();
    }
    let count = 0;
    for (; input.nextEvent(event) === 0; count++) expect(event.type).toBe(count % 3 === 2 ? 0 : 2);
    expect(count % 3).toBe(0);
    expect(count).toBeLessThan(1200);
    expectClean(rig, input);
  });

  test("the guest lights an LED", () => {
    const lit: number[][] = [];
    const device = new InputDevice({ ...KEYBOARD, onStatus: (...status) => lit.push(status) });
    const rig = createRig(device, { mmio });
    const input = ok(VirtIOInput.create(rig.hal, rig.transport));
    expect([input.sendStatus(0x11, 1, 1), input.sendStatus(0x11, 1, -2)]).toEqual([0, 0]);
    expect(lit).toEqual([
      [0x11, 1, 1],
      [0x11, 1, -2],
    ]);
    expectClean(rig, input);
  });
});

describe.each(LAYOUTS)("balloon, %s", (_, mmio) => {
  test("pages go to the host and come back, as it asks", () => {
    const held = new Set<number>();
    const device = new BalloonDevice({
      onInflate: (paddr) => held.add(paddr),
      onDeflate: (paddr) => held.delete(paddr),
    });
    const rig = createRig(device, { mmio });
    const balloon = ok(VirtIOBalloon.create(rig.hal, rig.transport));
    device.setTarget(100);
    expect(rig.irq.high).toBe(true);
    expect([balloon.handleInterrupt() & 2, balloon.target()]).toEqual([2, 100]);
    const pages = Array.from({ length: 100 }, (_, i) => RAM_BASE + (100 + i) * 4096);
    expect([balloon.inflate(pages), balloon.actual, device.actual, held.size]).toEqual([0, 100, 100, 100]);
    expect([balloon.deflate(pages.slice(0, 30)), device.actual, held.size]).toEqual([0, 70, 70]);
    expect([balloon.inflate([RAM_BASE + 1]), balloon.inflate([-4096])]).toEqual([ERR_INVALID_PARAM, ERR_INVALID_PARAM]);
    expect(balloon.inflate([0])).toBe(0); // outside RAM: the host takes no notice
    expect(held.size).toBe(70);
    expect(balloon.inflate(Array.from({ length: 3000 }, (_, i) => RAM_BASE + (i % 100) * 4096))).toBe(0);
    expectClean(rig, balloon);
  });

  test("statistics, when the host wants them", () => {
    const seen: object[] = [];
    const device = new BalloonDevice({ onStats: (stats) => seen.push(stats) });
    const rig = createRig(device, { mmio });
    const balloon = ok(VirtIOBalloon.create(rig.hal, rig.transport));
    expect(balloon.wantsStats()).toBe(false);
    for (let i = 1; i <= 20; i++) {
      expect(device.requestStats()).toBe(true);
      expect(device.requestStats()).toBe(false); // the guest has not answered yet
      expect(balloon.wantsStats()).toBe(true);
      expect(balloon.setStats({ freeMemory: i * 2 ** 32 + 5, majorFaults: i })).toBe(0);
      expect(seen.at(-1)).toEqual({ freeMemory: i * 2 ** 32 + 5, majorFaults: i });
    }
    expectClean(rig, balloon);
  });

  test("free pages are reported if the host wants to know", () => {
    const free: number[][] = [];
    const device = new BalloonDevice({ onFree: (...range) => free.push(range) });
    const rig = createRig(device, { mmio });
    const balloon = ok(VirtIOBalloon.create(rig.hal, rig.transport));
    expect(balloon.reportFree(RAM_BASE + 0x8_0000, 0x4000)).toBe(0);
    expect(free).toEqual([[RAM_BASE + 0x8_0000, 0x4000]]);
    const plain = createRig(new BalloonDevice(), { mmio });
    expect(ok(VirtIOBalloon.create(plain.hal, plain.transport)).reportFree(RAM_BASE, 4096)).toBe(ERR_UNSUPPORTED);
    expectClean(rig, balloon);
  });
});

describe.each(LAYOUTS)("gpu, %s", (_, mmio) => {
  function create(displays?: { width: number; height: number }[]) {
    const log: string[] = [];
    const cursors: (CursorPicture | null | undefined)[] = [];
    const device: GpuDevice = new GpuDevice({
      ...(displays && { displays }),
      screen: {
        onFlush: (scanout, { x, y, width, height }) => log.push(`flush ${scanout}: ${x} ${y} ${width} ${height}`),
        onScanout: (scanout, width, height) => log.push(`scanout ${scanout}: ${width} ${height}`),
        onCursor: (_scanout, x, y, picture) => {
          log.push(`cursor ${x} ${y}`);
          cursors.push(picture);
        },
      },
    });
    const rig = createRig(device, { mmio, pages: 2048 });
    return { rig, device, log, cursors, gpu: ok(VirtIOGpu.create(rig.hal, rig.transport)) };
  }

  test("what the guest draws arrives on the screen, and only the part that was flushed", () => {
    const { rig, device, log, gpu } = create();
    expect(gpu.displays()).toEqual([{ width: 1024, height: 768, isEnabled: true }]);
    const pixels = unwrap(gpu.setFramebuffer(320, 200));
    expect([pixels.length, device.pictureSize(0)]).toEqual([320 * 200 * 4, { width: 320, height: 200 }]);
    for (let i = 0; i < pixels.length; i += 4) pixels.set([10, 20, 30, 99], i);
    expect(gpu.flush(5, 7, 20, 10)).toBe(0);
    const rgba = new Uint8Array(320 * 200 * 4);
    expect(device.readRgba(0, { x: 0, y: 0, width: 320, height: 200 }, rgba)).toBe(true);
    const at = (x: number, y: number): number[] => Array.from(rgba.subarray(4 * (y * 320 + x), 4 * (y * 320 + x) + 4));
    expect([at(5, 7), at(24, 16)]).toEqual([
      [30, 20, 10, 255],
      [30, 20, 10, 255],
    ]);
    expect([at(4, 7), at(25, 16), at(5, 17)]).toEqual([
      [0, 0, 0, 255],
      [0, 0, 0, 255],
      [0, 0, 0, 255],
    ]);
    expect(log).toEqual(["scanout 0: 320 200", "flush 0: 5 7 20 10"]);
    expect(gpu.flush(310, 0, 20, 10)).toBe(ERR_INVALID_PARAM);
    expect(device.readRgba(0, { x: 300, y: 0, width: 21, height: 1 }, rgba)).toBe(false);
    expect(unwrap(gpu.setFramebuffer(64, 64)).length).toBe(64 * 64 * 4);
    expect(device.pictureSize(0)).toEqual({ width: 64, height: 64 });
    expectClean(rig, gpu);
    expect(device.pictureSize(0)).toEqual({ width: 0, height: 0 });
  });

  test("a window that changes size is announced", () => {
    const { rig, device, gpu } = create([
      { width: 800, height: 600 },
      { width: 640, height: 480 },
    ]);
    expect(gpu.handleInterrupt()).toBe(false);
    device.setDisplay(1, 1280, 720);
    expect([rig.irq.high, gpu.handleInterrupt(), gpu.handleInterrupt()]).toEqual([true, true, false]);
    expect(gpu.displays()).toEqual([
      { width: 800, height: 600, isEnabled: true },
      { width: 1280, height: 720, isEnabled: true },
    ]);
    expectClean(rig, gpu);
  });

  test("the cursor: a picture, a place, nothing", () => {
    const { rig, log, cursors, gpu } = create();
    const picture = new Uint8Array(4 * CURSOR_SIDE * CURSOR_SIDE).fill(7);
    picture.set([1, 2, 3, 4], 0);
    expect(gpu.setCursor(picture, 10, 20, 3, 4)).toBe(0);
    expect([gpu.moveCursor(11, 21), gpu.hideCursor(), gpu.setCursor(picture, 1, 1)]).toEqual([0, 0, 0]);
    expect(log).toEqual(["cursor 10 20", "cursor 11 21", "cursor 0 0", "cursor 1 1"]);
    expect([Array.from(cursors[0]!.rgba.subarray(0, 8)), cursors[0]!.hotX, cursors[0]!.hotY]).toEqual([
      [3, 2, 1, 4, 7, 7, 7, 7],
      3,
      4,
    ]);
    expect([cursors[1], cursors[2]]).toEqual([undefined, null]);
    expectClean(rig, gpu);
  });
});

describe.each(LAYOUTS)("vsock, %s", (_, mmio) => {
  function create() {
    const device = new VsockDevice({ guestCid: 42 });
    const rig = createRig(device, { mmio });
    return { device, rig, socket: ok(VirtIOSocket.create(rig.hal, rig.transport)) };
  }
  const readAll = (connection: VsockConnection): string => {
    const target = new Uint8Array(5000);
    let all = "";
    for (let n = connection.read(target); n > 0; n = connection.read(target)) all += text(target.subarray(0, n));
    return all;
  };

  test("the guest connects, both talk, the host closes", () => {
    const { device, rig, socket } = create();
    expect(socket.guestCid).toBe(42);
    const log: string[] = [];
    let peer: VsockSocket | undefined;
    device.listen(1234, (accepted) => {
      peer = accepted;
      return {
        onData: (bytes) => {
          log.push(text(bytes));
          accepted.write(bytesOf("echo "));
          accepted.write(bytes);
        },
        onEnd: () => log.push("end"),
        onClose: () => log.push("closed"),
      };
    });
    const connection = unwrap(socket.connect(1234));
    socket.poll();
    expect(connection.state).toBe("connected");
    expect(connection.write(bytesOf("hello"))).toBe(5);
    expect(connection.read(new Uint8Array(10))).toBe(ERR_NOT_READY);
    socket.handleInterrupt();
    expect([log, readAll(connection)]).toEqual([["hello"], "echo hello"]);
    peer!.close();
    socket.poll();
    expect([connection.state, connection.read(new Uint8Array(1))]).toEqual(["closed", 0]);
    expect(log).toEqual(["hello", "closed"]);
    expectClean(rig, socket);
  });

  test("the host connects; nobody listens, then somebody does", () => {
    const { device, rig, socket } = create();
    const log: string[] = [];
    device.dial(80, { onClose: () => log.push("refused") });
    socket.poll();
    expect(log).toEqual(["refused"]);
    expect([socket.listen(80), socket.accept(80)]).toEqual([0, undefined]);
    const peer = device.dial(80, {
      onOpen: () => log.push("open"),
      onData: (bytes) => log.push(text(bytes)),
      onEnd: () => log.push("end"),
      onClose: () => log.push("closed"),
    });
    socket.poll();
    const connection = socket.accept(80)!;
    expect([connection.state, socket.accept(80)]).toEqual(["connected", undefined]);
    peer.write(bytesOf("GET /"));
    socket.poll();
    expect(readAll(connection)).toBe("GET /");
    connection.write(bytesOf("200"));
    connection.shutdown();
    socket.poll();
    expect([connection.state, log]).toEqual(["closed", ["refused", "open", "200", "end", "closed"]]);
    expectClean(rig, socket);
  });

  test("neither side sends more than the other has room for, and nothing is lost", () => {
    const { device, rig, socket } = create();
    const received: number[] = [];
    let peer: VsockSocket | undefined;
    device.listen(7, (accepted) => {
      peer = accepted;
      return { onData: (bytes) => received.push(...bytes) };
    });
    const connection = unwrap(socket.connect(7));
    socket.poll();
    const big = pattern(300_000, 5);
    peer!.write(big);
    const got: number[] = [];
    const target = new Uint8Array(10_000);
    for (let round = 0; round < 1000 && got.length < big.length; round++) {
      socket.poll();
      expect(connection.readableBytes).toBeLessThanOrEqual(65_536);
      const n = connection.read(target);
      if (n > 0) got.push(...target.subarray(0, n));
    }
    expect(firstDifference(Uint8Array.from(got), big)).toBe(-1);
    expect(peer!.bufferedBytes).toBe(0);
    for (let at = 0; at < big.length; ) {
      const n = connection.write(big.subarray(at));
      socket.poll();
      if (n !== ERR_NOT_READY) at += ok(n);
    }
    expect(firstDifference(Uint8Array.from(received), big)).toBe(-1);
    expectClean(rig, socket);
  });

  test("a refused connection, and a reset machine", () => {
    const { device, rig, socket } = create();
    const refused = unwrap(socket.connect(9));
    socket.poll();
    expect(refused.state).toBe("closed");
    const log: string[] = [];
    device.listen(1, () => ({ onClose: () => log.push("closed") }));
    const connection = unwrap(socket.connect(1));
    socket.poll();
    expect(connection.state).toBe("connected");
    socket.release();
    expect([connection.state, log, rig.frames.usedCount]).toEqual(["closed", ["closed"], 0]);
  });
});

describe("blk, what is beyond reading and writing", () => {
  test("topology, geometry, write cache", () => {
    const disk = new TestDisk(4096);
    const geometry = { cylinders: 100, heads: 16, sectors: 63 };
    const model = new BlockDevice({ backend: disk, logicalBlockSize: 1024, physicalBlockSize: 8192, geometry });
    const rig = createRig(model);
    const blk = ok(VirtIOBlk.create(rig.hal, rig.transport));
    expect(blk.topology).toEqual({ physicalBlockSize: 8192, alignmentOffset: 0, minIoSize: 8192, optIoSize: 0 });
    expect([blk.logicalBlockSize, blk.geometry, blk.discardAlignment]).toEqual([1024, geometry, 16]);
    expect(blk.writeCache()).toBe(true);
    blk.writeBlocks(0, new Uint8Array(512));
    expect(disk.log).toEqual([]);
    expect([blk.setWriteCache(false), blk.writeCache()]).toEqual([0, false]);
    blk.writeBlocks(0, new Uint8Array(512));
    expect(disk.log).toEqual(["flush"]);
  });

  test("secure erase reaches a backend that can", () => {
    const erased: number[][] = [];
    const backend = Object.assign(new TestDisk(200_000), {
      secureErase: (...range: number[]): number => {
        erased.push(range);
        return 0;
      },
    });
    const rig = createRig(new BlockDevice({ backend }));
    const blk = ok(VirtIOBlk.create(rig.hal, rig.transport));
    expect(blk.secureErase(8, 100_000)).toBe(0);
    expect(erased).toEqual([
      [8, 65_536],
      [65_544, 34_464],
    ]);
    const plain = createRig(new BlockDevice({ backend: new TestDisk(8) }));
    expect(ok(VirtIOBlk.create(plain.hal, plain.transport)).secureErase(0, 1)).toBe(ERR_UNSUPPORTED);
  });

  test("requests go around the queues, and a growing disk calls back", () => {
    const disk = new TestDisk(64);
    const model = new BlockDevice({ backend: disk, queueCount: 4 });
    const rig = createRig(model);
    const sizes: number[] = [];
    const blk = ok(
      VirtIOBlk.create(rig.hal, rig.transport, { queueCount: 8, onResize: (capacity) => sizes.push(capacity) }),
    );
    expect([blk.queueCount, blk.freeSlots]).toEqual([4, 256]);
    const tokens = Array.from({ length: 100 }, (_, i) => blk.readBlocksNb(i % 64, new Uint8Array(512)));
    expect(new Set(tokens).size).toBe(100);
    expect(new Set(tokens.map((token) => token % 16))).toEqual(new Set([0, 1, 2, 3]));
    for (const token of tokens.reverse()) expect(blk.completeReadBlocks(token)).toBe(0);
    Object.defineProperty(disk, "bytes", { value: new Uint8Array(128 * 512) });
    model.resized();
    blk.handleInterrupt();
    expect(sizes).toEqual([128]);
    blk.release();
    rig.hal.trim();
    expect(rig.frames.usedCount).toBe(0);
  });
});
