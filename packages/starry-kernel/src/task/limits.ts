/**
 * Resource limits of a process (getrlimit(2)). `RLIM_INFINITY` is Infinity here and 2^64 − 1 in the program's memory.
 */
import {
  RLIM_NLIMITS,
  RLIMIT_CORE,
  RLIMIT_MEMLOCK,
  RLIMIT_MSGQUEUE,
  RLIMIT_NICE,
  RLIMIT_NOFILE,
  RLIMIT_NPROC,
  RLIMIT_RTPRIO,
  RLIMIT_SIGPENDING,
  RLIMIT_STACK,
} from "linux-abi";

export const UNLIMITED: number = Number.POSITIVE_INFINITY;

export class ResourceLimits {
  /** Index RLIMIT_*. Units of getrlimit(2). */
  readonly soft: number[] = new Array<number>(RLIM_NLIMITS).fill(UNLIMITED);
  readonly hard: number[] = new Array<number>(RLIM_NLIMITS).fill(UNLIMITED);

  clone(): ResourceLimits {
    const copy = new ResourceLimits();
    for (let i = 0; i < RLIM_NLIMITS; i++) {
      copy.soft[i] = this.soft[i] as number;
      copy.hard[i] = this.hard[i] as number;
    }
    return copy;
  }

  #set(resource: number, soft: number, hard: number): void {
    this.soft[resource] = soft;
    this.hard[resource] = hard;
  }

  /** Linux's INIT_RLIMITS; `maxThreads` bounds processes and queued signals as it does there. */
  static forInit(maxThreads: number): ResourceLimits {
    const limits = new ResourceLimits();
    limits.#set(RLIMIT_STACK, 8 << 20, UNLIMITED);
    limits.#set(RLIMIT_CORE, 0, UNLIMITED);
    limits.#set(RLIMIT_NPROC, maxThreads, maxThreads);
    limits.#set(RLIMIT_NOFILE, 1024, 1048576);
    limits.#set(RLIMIT_MEMLOCK, 8 << 20, 8 << 20);
    limits.#set(RLIMIT_SIGPENDING, maxThreads, maxThreads);
    limits.#set(RLIMIT_MSGQUEUE, 819200, 819200);
    limits.#set(RLIMIT_NICE, 0, 0);
    limits.#set(RLIMIT_RTPRIO, 0, 0);
    return limits;
  }
}
