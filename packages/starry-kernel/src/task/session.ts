/**
 * Process groups and sessions: who belongs to which job, and which terminal controls them.
 */
import type { Process } from "./process.ts";

/** What the core needs from a terminal; src/tty implements it. */
export interface ControllingTerminal {
  /** Session it controls, or null. */
  session: Session | null;
  /** Foreground process group id, 0 if none. */
  foregroundGroup: number;
  /** tty_nr in /proc/PID/stat (`new_encode_dev` form). */
  readonly deviceNumber: number;
  /** The session leader has exited or given the terminal up. The terminal detaches; the core sends the signals. */
  sessionEnded(): void;
}

export class Session {
  readonly sid: number;
  terminal: ControllingTerminal | null = null;
  readonly groups: Map<number, ProcessGroup> = new Map();

  constructor(sid: number) {
    this.sid = sid;
  }
}

export class ProcessGroup {
  readonly pgid: number;
  readonly session: Session;
  readonly members: Set<Process> = new Set();

  constructor(pgid: number, session: Session) {
    this.pgid = pgid;
    this.session = session;
  }
}
