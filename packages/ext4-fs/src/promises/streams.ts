/** Files as web streams and as lines, over the reads and writes of a FileHandle. */

export interface StreamRange {
  /** First byte. Default: the handle's position, which moves on. */
  readonly start?: number;
  /** Last byte, inclusive as in Node. Default: the end of the file. */
  readonly end?: number;
  /** Bytes of one piece. Default 64 KiB. */
  readonly highWaterMark?: number;
  readonly signal?: AbortSignal;
  /** Close the handle at the end, also after an error. Default false. */
  readonly autoClose?: boolean;
}

/** What streams need of a file. */
export interface StreamFile {
  read(buffer: Uint8Array, offset: number, length: number, position: number | null): Promise<{ bytesRead: number }>;
  write(buffer: Uint8Array, offset: number, length: number, position: number | null): Promise<{ bytesWritten: number }>;
  close(): Promise<void>;
}

/** The pieces of a file, in order; each is a buffer of its own. */
export async function* readPieces(file: StreamFile, range: StreamRange): AsyncGenerator<Uint8Array, void> {
  const { start, end = Number.MAX_SAFE_INTEGER, highWaterMark = 64 << 10, signal, autoClose = false } = range;
  try {
    let position = start ?? null;
    let left = end - (start ?? 0) + 1;
    while (left > 0) {
      if (signal?.aborted === true) throw signal.reason;
      const buffer = new Uint8Array(Math.min(highWaterMark, left));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
      if (bytesRead === 0) return;
      left -= bytesRead;
      if (position !== null) position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    if (autoClose) await file.close();
  }
}

/** The file as a ReadableStream of bytes; cancelling ends it. */
export function readableStream(file: StreamFile, range: StreamRange): ReadableStream<Uint8Array> {
  const pieces = readPieces(file, range);
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await pieces.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await pieces.return();
    },
  });
}

/** A WritableStream that writes what it gets from `start` (default: the handle's position) on. */
export function writableStream(
  file: StreamFile,
  options: Pick<StreamRange, "start" | "autoClose" | "signal">,
): WritableStream<Uint8Array> {
  const { signal, autoClose = false } = options;
  let position = options.start ?? null;
  return new WritableStream<Uint8Array>({
    async write(chunk) {
      if (signal?.aborted === true) throw signal.reason;
      for (let done = 0; done < chunk.length; ) {
        const { bytesWritten } = await file.write(chunk, done, chunk.length - done, position);
        done += bytesWritten;
        if (position !== null) position += bytesWritten;
      }
    },
    async close() {
      if (autoClose) await file.close();
    },
    async abort() {
      if (autoClose) await file.close();
    },
  });
}

/** The lines of a file in UTF-8, without their ends ("\n" or "\r\n"). */
export async function* readLines(file: StreamFile, range: StreamRange): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of readPieces(file, range)) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop() as string;
    for (const line of lines) yield line.endsWith("\r") ? line.slice(0, -1) : line;
  }
  rest += decoder.decode(new Uint8Array(0));
  if (rest !== "") yield rest;
}
