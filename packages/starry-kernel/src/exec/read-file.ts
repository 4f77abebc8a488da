/** Reading pieces of an open file into the kernel: headers, interpreter names. */
import { EAGAIN, EIO } from "linux-abi";
import type { OpenFile } from "../file.ts";
import { IoBuffer } from "../io-buffer.ts";
import type { Task } from "../task/task.ts";

/** Up to `byteLength` bytes at `offset`; fewer at the end of the file. -errno. */
export function readFileBytes(task: Task, file: OpenFile, offset: number, byteLength: number): Uint8Array | number {
  const bytes = new Uint8Array(byteLength);
  let done = 0;
  while (done < byteLength) {
    const count = file.read(task, new IoBuffer().setKernel(bytes.subarray(done)), offset + done);
    if (count < 0) return count === -EAGAIN ? -EIO : count;
    if (count === 0) break;
    done += count;
  }
  return bytes.subarray(0, done);
}
