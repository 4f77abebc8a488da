/**
 * /dev/hwrng: bytes straight from the virtio entropy device.
 */
import { toErrno, type VirtIORng } from "virtio-drivers";
import { OpenFile } from "../file.ts";
import type { IoBuffer } from "../io-buffer.ts";
import type { CharDevice } from "../registries.ts";
import type { Task } from "../task/task.ts";

const CHUNK_BYTES = 256;
const $chunk = new Uint8Array(CHUNK_BYTES);

export class HardwareRandom implements CharDevice {
  readonly name = "hwrng";
  readonly #rng: VirtIORng;

  constructor(rng: VirtIORng) {
    this.#rng = rng;
  }

  open(_task: Task, _rdev: number, flags: number): OpenFile {
    return new HardwareRandomFile(flags, this.#rng);
  }
}

class HardwareRandomFile extends OpenFile {
  readonly #rng: VirtIORng;

  constructor(flags: number, rng: VirtIORng) {
    super(flags);
    this.#rng = rng;
  }

  override read(_task: Task, buffer: IoBuffer, _offset: number): number {
    let done = 0;
    while (buffer.remaining > 0) {
      const wanted = Math.min(buffer.remaining, CHUNK_BYTES);
      const error = toErrno(this.#rng.fill(wanted === CHUNK_BYTES ? $chunk : $chunk.subarray(0, wanted)));
      if (error < 0) return done > 0 ? done : error;
      const copied = buffer.put($chunk, 0, wanted);
      done += copied;
      if (copied < wanted) break;
    }
    return buffer.result(done);
  }
}
