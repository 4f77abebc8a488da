/** What the page and the worker say to each other. */

export type ToMachine =
  | { kind: "start"; columns: number; rows: number; memory?: string }
  | { kind: "input"; bytes: Uint8Array<ArrayBuffer> }
  | { kind: "resize"; columns: number; rows: number };

export type FromMachine =
  | { kind: "output"; bytes: Uint8Array }
  | { kind: "ready"; startMs: number }
  | { kind: "exited"; reason: string; status: number }
  | { kind: "failed"; message: string };
