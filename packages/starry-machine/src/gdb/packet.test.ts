import { expect, test } from "vitest";
import { encodePacket, fromBinary, fromHex, hexToText, PacketReader, textToHex, toBinary, toHex } from "./packet.ts";

function reader() {
  const seen: string[] = [];
  const sent: string[] = [];
  const packets = new PacketReader({
    packet: (payload) => seen.push(payload),
    interrupt: () => seen.push("interrupt"),
    send: (text) => sent.push(text),
    resend: () => seen.push("resend"),
  });
  return { packets, seen, sent, push: (text: string) => packets.push(fromBinary(text)) };
}

test("a packet is acknowledged and handed on, however the stream is cut", () => {
  const { push, seen, sent } = reader();
  for (const char of "+$qC#b4") push(char);
  expect(seen).toEqual(["qC"]);
  expect(sent).toEqual(["+"]);
});

test("a wrong checksum is refused; a packet that starts anew replaces the broken one", () => {
  const { push, seen, sent } = reader();
  push("$qC#b5$qS$qC#b4");
  expect(sent).toEqual(["-", "+"]);
  expect(seen).toEqual(["qC"]);
});

test("without acknowledgements nothing is sent and a minus means nothing", () => {
  const { packets, push, seen, sent } = reader();
  packets.acknowledge = false;
  push("-$?#3f");
  expect(seen).toEqual(["?"]);
  expect(sent).toEqual([]);
});

test("interrupts count outside of packets only", () => {
  const { push, seen } = reader();
  push("\x03$X1\x03#8c");
  expect(seen).toEqual(["interrupt", "X1\x03"]);
});

test("a minus asks for the last packet again", () => {
  const { push, seen } = reader();
  push("-");
  expect(seen).toEqual(["resend"]);
});

test("every byte survives escaping", () => {
  const all = toBinary(Uint8Array.from({ length: 256 }, (_, n) => n));
  const { push, seen, sent } = reader();
  push(encodePacket(all));
  expect(sent).toEqual(["+"]);
  expect(seen).toEqual([all]);
  expect(encodePacket("a#$}*")).toBe("$a}\x03}\x04}]}\x0a#c3");
});

test("an endless payload is refused without being kept", () => {
  const { push, seen, sent } = reader();
  push(encodePacket("a".repeat(0x10001)));
  expect(seen).toEqual([]);
  expect(sent).toEqual(["-"]);
});

test("hex and text", () => {
  expect(toHex(Uint8Array.of(0, 255))).toBe("00ff");
  expect(fromHex("00fF")).toEqual(Uint8Array.of(0, 255));
  expect([fromHex("0"), fromHex("0x"), hexToText("zz")]).toEqual([undefined, undefined, undefined]);
  expect(hexToText(textToHex("grün"))).toBe("grün");
});
