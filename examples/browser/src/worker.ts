/** The machine, in a worker so that the page stays responsive: the same packages that run in Node. */
import { embeddedRoot, Machine } from "starry-machine";
import rootImage from "starry-machine/root.img?url";
import type { FromMachine, ToMachine } from "./messages.ts";

const send = (message: FromMachine) => postMessage(message);
let input: WritableStreamDefaultWriter<Uint8Array> | undefined;
let machine: Machine | undefined;

addEventListener("message", ({ data }: MessageEvent<ToMachine>) => {
  switch (data.kind) {
    case "start":
      start(data).catch((error: unknown) => send({ kind: "failed", message: String(error) }));
      break;
    case "input":
      input?.write(data.bytes);
      break;
    case "resize":
      machine?.console.resize(data.columns, data.rows);
      break;
  }
});

async function start({ columns, rows, memory = "256M" }: Extract<ToMachine, { kind: "start" }>): Promise<void> {
  const started = performance.now();
  const image = new Uint8Array(await (await fetch(rootImage)).arrayBuffer());
  machine = await Machine.create({ memory, disks: [embeddedRoot(image)] });
  machine.console.resize(columns, rows);
  input = machine.console.writable.getWriter();
  send({ kind: "ready", startMs: performance.now() - started });
  for await (const bytes of machine.console.readable) send({ kind: "output", bytes });
  const { reason, status } = await machine.exited;
  send({ kind: "exited", reason, status });
}
