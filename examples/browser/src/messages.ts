/** What the page and the worker say to each other. */

export type ToMachine =
  | { kind: "start"; memory?: string }
  | { kind: "resize"; columns: number; rows: number }
  | { kind: "input"; bytes: Uint8Array<ArrayBuffer> };

export type FromMachine =
  | { kind: "output"; bytes: Uint8Array }
  /** The first program has printed something, so many milliseconds after the image was there. */
  | { kind: "booted"; bootMs: number }
  | { kind: "exited"; reason: string; status: number; message: string }
  | { kind: "failed"; message: string };
