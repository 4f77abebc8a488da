/** blockdev-disk's backends inside a Worker, as the browser test asks for them: each function is one scenario, its result is posted back. */
import { type BlockDevice, GzipDisk, MemoryFile, OverlayDisk, ReadCacheDisk, ZstdDisk } from "blockdev-disk";
import { IndexedDbDisk, OpfsDisk, type SyncAccessHandle, XhrFile } from "blockdev-disk/browser";
import { blobSource, LazyDisk, openHttp } from "blockdev-disk/promises";

// What is used of the browser.
interface FileSystemHandle {
  getFileHandle(
    name: string,
    options: { create: boolean },
  ): Promise<{ createSyncAccessHandle(): Promise<SyncAccessHandle> }>;
  removeEntry(name: string): Promise<void>;
}
const scope = globalThis as unknown as {
  navigator: { storage: { getDirectory(): Promise<FileSystemHandle> } };
  onmessage: (event: { data: [name: string, url: string] }) => void;
  postMessage(value: unknown): void;
};

const SIZE = 4 << 20;

/** The byte at `i` of the file that the server has. */
const served = (i: number): number => ((i * 2654435761) >>> 24) & 255;

function check(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

/** Random writes against a model; the checksum of the model is the result. */
function exercise(disk: BlockDevice): number {
  const model = new Uint8Array(disk.size);
  let seed = 1;
  const random = (limit: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed % limit;
  };
  for (let i = 0; i < 200; i++) {
    const block = random(disk.size / 512 - 300);
    const buf = new Uint8Array(512 * (1 + random(300))).fill(random(256));
    check(disk.writeBlock(block, buf) === 0, "write");
    model.set(buf, block * 512);
  }
  check(disk.flush() === 0, "flush");
  const all = new Uint8Array(disk.size);
  check(disk.readBlock(0, all) === 0, "read");
  check(
    all.every((byte, i) => byte === model[i]),
    "content differs",
  );
  return sum(model);
}

const sum = (bytes: Uint8Array): number =>
  bytes.reduce((total, byte, i) => (total + byte * ((i % 251) + 1)) % 1_000_003, 0);

function contentSum(disk: BlockDevice): number {
  const all = new Uint8Array(disk.size);
  check(disk.readBlock(0, all) === 0, "read");
  return sum(all);
}

const scenarios: Record<string, (url: string) => Promise<unknown>> = {
  async opfs() {
    const root = await scope.navigator.storage.getDirectory();
    const file = await root.getFileHandle("disk.img", { create: true });
    const disk = new OpfsDisk(await file.createSyncAccessHandle(), { size: SIZE });
    const before = exercise(disk);
    disk.close();
    const again = new OpfsDisk(await file.createSyncAccessHandle());
    const after = contentSum(again);
    again.close();
    await root.removeEntry("disk.img");
    return { same: before === after, size: again.size };
  },

  async indexedDb() {
    const disk = await IndexedDbDisk.open("worker-disk", { size: SIZE });
    const before = exercise(disk);
    await disk.close();
    const again = await IndexedDbDisk.open("worker-disk");
    const after = contentSum(again);
    again.writeBlock(0, new Uint8Array(512).fill(1)); // never flushed
    await again.close();
    const third = await IndexedDbDisk.open("worker-disk");
    const result = { same: before === after && after === contentSum(third), size: third.size };
    check(third.discard(0, SIZE / 512) === 0 && third.flush() === 0, "discard");
    await third.close();
    const fourth = await IndexedDbDisk.open("worker-disk");
    const empty = fourth.memoryBytes;
    await fourth.close();
    await IndexedDbDisk.remove("worker-disk");
    return { ...result, empty };
  },

  async xhr(url) {
    const disk = new ReadCacheDisk(new XhrFile(url), { cacheBytes: 1 << 20 });
    const buf = new Uint8Array(100 * 512);
    for (let block = 0; block + 100 <= disk.size / 512; block += 100) {
      check(disk.readBlock(block, buf) === 0, "read");
      for (let i = 0; i < buf.length; i++)
        if (buf[i] !== served(block * 512 + i)) throw new Error(`byte ${block * 512 + i}`);
    }
    const overlay = new OverlayDisk(disk); // as a machine uses it
    check(overlay.writeBlock(3, new Uint8Array(512)) === 0, "overlay");
    let missing = "";
    try {
      new XhrFile(`${url}-missing`);
    } catch (reason) {
      missing = (reason as Error).message;
    }
    return { size: disk.size, requests: disk.requests, missing: /answered 404/.test(missing) };
  },

  async http(url) {
    const disk = new LazyDisk(await openHttp(url));
    const buf = new Uint8Array(512);
    await disk.run(() => disk.readBlock(5000, buf));
    check(
      buf.every((byte, i) => byte === served(5000 * 512 + i)),
      "content",
    );
    return { size: disk.size, requests: disk.requests, fetched: disk.bytesFetched };
  },

  async blob() {
    const { Blob } = globalThis as unknown as { Blob: new (parts: Uint8Array[]) => Parameters<typeof blobSource>[0] };
    const disk = new LazyDisk(blobSource(new Blob([new Uint8Array(1 << 20).fill(7)])));
    const buf = new Uint8Array(512);
    await disk.run(() => disk.readBlock(1000, buf));
    return buf[511];
  },

  async compressed(url) {
    const open = async (name: string): Promise<MemoryFile> => {
      const source = await openHttp(url.replace(/[^/]*$/, name));
      return new MemoryFile(await source.read(0, source.size));
    };
    const gzip = GzipDisk.open(await open("pattern.gz")) as GzipDisk;
    const zstd = ZstdDisk.open(await open("pattern.zst"));
    const buf = new Uint8Array(512);
    gzip.readBlock(777, buf);
    check(
      buf.every((byte, i) => byte === served(777 * 512 + i)),
      "gzip",
    );
    if (typeof zstd === "number") return "no zstd";
    zstd.readBlock(777, buf);
    check(
      buf.every((byte, i) => byte === served(777 * 512 + i)),
      "zstd",
    );
    return "both";
  },
};

scope.onmessage = ({ data: [name, url] }) => {
  scenarios[name](url).then(
    (result) => scope.postMessage({ result }),
    (reason: unknown) => scope.postMessage({ error: String((reason as Error).stack ?? reason) }),
  );
};
