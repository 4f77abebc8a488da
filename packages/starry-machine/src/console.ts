/**
 * The machine's console as web streams of bytes.
 *
 * What the guest prints before anyone reads is kept, so nothing of the boot is lost; the guest is not slowed down by
 * a slow reader. Bytes written go to the guest's terminal as typed keys.
 */

/** The guest's side of the wire. */
export interface ConsoleWire {
  input(bytes: Uint8Array): void;
  resize(columns: number, rows: number): void;
}

export class MachineConsole {
  /** What the guest prints. Ends when the machine stops. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What is typed. Closing it changes nothing for the guest. */
  readonly writable: WritableStream<Uint8Array>;
  readonly #wire: ConsoleWire;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;

  constructor(wire: ConsoleWire) {
    this.#wire = wire;
    this.readable = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      cancel: () => {
        this.#controller = null; // nobody reads any more: output is dropped
      },
    });
    this.writable = new WritableStream<Uint8Array>({ write: (bytes) => wire.input(bytes) });
  }

  /** Window size in characters; the foreground program gets SIGWINCH. */
  resize(columns: number, rows: number): void {
    this.#wire.resize(columns, rows);
  }

  /** Called by the machine with bytes that the guest printed; they are kept as they are. */
  output(bytes: Uint8Array): void {
    this.#controller?.enqueue(bytes);
  }

  /** Called by the machine when nothing will come any more. */
  end(): void {
    this.#controller?.close();
    this.#controller = null;
  }
}
