/** The page: an xterm.js terminal joined to a machine that runs in a worker. `?mem=128M` chooses the memory. */
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import type { FromMachine, ToMachine } from "./messages.ts";

const status = document.querySelector<HTMLElement>("#status")!;
const terminal = new Terminal({ cursorBlink: true, fontSize: 15, theme: { background: "#111111" } });
const fit = new FitAddon();
terminal.loadAddon(fit);
terminal.open(document.querySelector<HTMLElement>("#terminal")!);

const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
const send = (message: ToMachine) => worker.postMessage(message);
const encoder = new TextEncoder();

worker.onmessage = ({ data }: MessageEvent<FromMachine>) => {
  switch (data.kind) {
    case "output":
      terminal.write(data.bytes);
      break;
    case "booted":
      status.textContent = `running, booted in ${Math.round(data.bootMs)} ms`;
      break;
    case "exited":
      status.textContent = `stopped: ${data.message} (reload the page to boot again)`;
      break;
    case "failed":
      status.textContent = `failed: ${data.message}`;
      break;
  }
};
worker.onerror = (event) => {
  status.textContent = `failed: ${event.message}`;
};

terminal.onData((text) => send({ kind: "input", bytes: encoder.encode(text) }));
terminal.onBinary((text) => send({ kind: "input", bytes: Uint8Array.from(text, (c) => c.charCodeAt(0)) }));
// Ctrl-V and Ctrl-Shift-V paste, as the browser does anywhere else; xterm.js would send the control character.
terminal.attachCustomKeyEventHandler((event) => !(event.ctrlKey && event.code === "KeyV"));
terminal.onResize(({ cols, rows }) => send({ kind: "resize", columns: cols, rows }));
addEventListener("resize", () => fit.fit());
fit.fit();
terminal.focus();

const memory = new URLSearchParams(location.search).get("mem");
send({ kind: "start", ...(memory === null ? {} : { memory }) });

// For tests and the curious: what the terminal shows, as text.
Object.assign(globalThis, {
  terminalText: () => {
    const { active } = terminal.buffer;
    return Array.from({ length: active.length }, (_, y) => active.getLine(y)?.translateToString(true) ?? "").join("\n");
  },
});
