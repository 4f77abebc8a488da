/**
 * A debugger's access to a program's memory: what ptrace(2) allows.
 *
 * Pages come in as the program's own accesses would bring them. Private pages can be written whatever their rights are: the
 * program gets a copy of its own. The stack does not grow.
 */
import { pokeBytes, type Task } from "starry-kernel";

export type Space = Task["memory"];

const PAGE_SIZE = 4096;

/** Up to `byteLength` bytes from `va` on; fewer where memory ends. */
export function readMemory(space: Space, va: number, byteLength: number): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  let done = 0;
  while (done < byteLength) {
    const at = va + done;
    const count = Math.min(byteLength - done, PAGE_SIZE - (at % PAGE_SIZE));
    const index = space.vmas.find(at) === undefined ? -1 : space.resolve(at, false);
    if (index < 0) break;
    bytes.set(space.ram.subarray(index, index + count), done);
    done += count;
  }
  return bytes.subarray(0, done);
}

/** False if a page cannot be written; pages before it have been. */
export function writeMemory(space: Space, va: number, bytes: Uint8Array): boolean {
  return space.vmas.find(va) !== undefined && pokeBytes(space, va, bytes) === 0;
}
