/** The machine, in a worker so that the page stays responsive: the same packages that run in Node. */
import { embeddedRoot, Machine } from "starry-machine";
import rootImage from "starry-machine/root.img?url";
import type { FromMachine, ToMachine } from "./messages.ts";

const send = (message: FromMachine) => postMessage(message);
let machine: Machine | undefined;
let keys: WritableStreamDefaultWriter<Uint8Array> | undefined;
const fail = (error: unknown) => send({ kind: "failed", message: String(error) });
let size = { columns: 80, rows: 24 }; // the window may change while the machine is still being built

addEventListener("message", ({ data }: MessageEvent<ToMachine>) => {
  switch (data.kind) {
    case "start":
      start(data.memory).catch(fail);
      break;
    case "resize":
      size = data;
      machine?.console.resize(data.columns, data.rows);
      break;
    case "input":
      keys?.write(data.bytes);
      break;
  }
});

async function start(memory = "256M"): Promise<void> {
  const response = await fetch(rootImage);
  if (!response.ok) throw new Error(`the root image: ${response.status} ${response.statusText}`);
  const image = new Uint8Array(await response.arrayBuffer());

  const started = performance.now();
  machine = await Machine.create({ memory, disks: [embeddedRoot(image)] });
  machine.exited.catch(fail); // a bug of ours: the console would stay silent for ever
  machine.console.resize(size.columns, size.rows);
  keys = machine.console.writable.getWriter();

  let isBooted = false;
  for await (const bytes of machine.console.readable) {
    send({ kind: "output", bytes });
    if (isBooted) continue;
    isBooted = true;
    send({ kind: "booted", bootMs: performance.now() - started });
  }
  const { reason, status, message } = await machine.exited;
  send({ kind: "exited", reason, status, message });
}
