/**
 * Signal dispositions: Linux's `sighand_struct`. Shared between tasks cloned with CLONE_SIGHAND.
 */
import { NSIG, SIG_DFL, SIG_IGN } from "linux-abi";

/** One disposition, as in struct sigaction (riscv has no restorer). */
export interface SignalAction {
  /** SIG_DFL, SIG_IGN or the handler's address. */
  readonly handler: number;
  /** SA_*, low 32 bits. */
  readonly flags: number;
  readonly maskLo: number;
  readonly maskHi: number;
}

export const DEFAULT_ACTION: SignalAction = { handler: SIG_DFL, flags: 0, maskLo: 0, maskHi: 0 };

export class SignalHandlers {
  /** Tasks that share the table. */
  count = 1;
  readonly #actions: SignalAction[] = new Array<SignalAction>(NSIG + 1).fill(DEFAULT_ACTION);

  get(signal: number): SignalAction {
    return this.#actions[signal] as SignalAction;
  }

  set(signal: number, action: SignalAction): void {
    this.#actions[signal] = action;
  }

  clone(): SignalHandlers {
    const copy = new SignalHandlers();
    for (let signal = 1; signal <= NSIG; signal++) copy.set(signal, this.get(signal));
    return copy;
  }

  /** execve: handlers go back to the default, ignored signals stay ignored. */
  resetForExec(): void {
    for (let signal = 1; signal <= NSIG; signal++) {
      if (this.get(signal).handler !== SIG_IGN) this.#actions[signal] = DEFAULT_ACTION;
    }
  }

  /** CLONE_CLEAR_SIGHAND: as `resetForExec`. */
  get length(): number {
    return NSIG;
  }
}
