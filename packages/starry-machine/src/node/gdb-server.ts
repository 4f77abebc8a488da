/// <reference types="node" />
/** A TCP port at which gdb reaches a machine. */
import { createServer, type Server, type Socket } from "node:net";
import { GdbSession } from "../gdb/session.ts";
import type { Machine } from "../machine.ts";

/** Milliseconds that gdb has to take the last reply and hang up. */
const GOODBYE_MS = 1000;

export class GdbServer {
  readonly #server: Server;
  #socket: Socket | null = null;
  /** The port it listens at. */
  readonly port: number;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as { port: number }).port;
  }

  /** Listens for one debugger at a time. Port 0: any free one. Rejects with Node's error if the port cannot be had. */
  static open(machine: Machine, port: number, host = "127.0.0.1"): Promise<GdbServer> {
    return new Promise((resolve, reject) => {
      const server = createServer({ noDelay: true });
      server.once("error", reject);
      server.listen(port, host, () => {
        server.off("error", reject);
        const opened = new GdbServer(server);
        server.on("connection", (socket) => opened.#connect(machine, socket));
        resolve(opened);
      });
    });
  }

  /** Lets what was sent arrive, then hangs up and frees the port. */
  async close(): Promise<void> {
    const socket = this.#socket;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    if (socket !== null) {
      socket.end();
      const timer = setTimeout(() => socket.destroy(), GOODBYE_MS);
      await new Promise((resolve) => (socket.destroyed ? resolve(null) : socket.once("close", resolve)));
      clearTimeout(timer);
    }
    await closed;
  }

  #connect(machine: Machine, socket: Socket): void {
    if (this.#socket !== null) {
      socket.destroy(); // somebody else debugs already
      return;
    }
    this.#socket = socket;
    const session = new GdbSession(machine, (text) => {
      if (socket.writable) socket.write(text, "latin1");
    });
    socket.on("data", (bytes) => session.push(bytes));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#socket = null;
      session.close();
    });
  }
}
