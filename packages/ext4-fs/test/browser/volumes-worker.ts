/** Volumes inside a Worker, as the browser test asks for them: each function is one scenario, its result is posted back. */
import { MemoryDisk } from "blockdev-disk";
import { IndexedDbDisk, OpfsDisk, type SyncAccessHandle } from "blockdev-disk/browser";
import { LazyDisk, openHttp } from "blockdev-disk/promises";
import { mkfs } from "ext4-fs";
import { check } from "ext4-fs/check";
import { mount } from "ext4-fs/promises";

// What is used of the browser.
interface Directory {
  getFileHandle(
    name: string,
    options: { create: boolean },
  ): Promise<{ createSyncAccessHandle(): Promise<SyncAccessHandle> }>;
}
const scope = globalThis as unknown as {
  navigator: { storage: { getDirectory(): Promise<Directory> } };
  onmessage: (event: { data: [name: string, url: string] }) => void;
  postMessage(value: unknown): void;
};

const SIZE = 32 << 20;
const UUID = "0d15ea5e-0000-4000-8000-000000000008";

const scenarios: Record<string, (url: string) => Promise<unknown>> = {
  async remote(url) {
    const disk = new LazyDisk(await openHttp(url));
    const fs = await mount(disk);
    const names = (await fs.readdir("/", { recursive: true })).sort();
    const text = await fs.readFile("/docs/readme", "utf8");
    await fs.unmount();
    return { names, text, size: disk.size, fetched: disk.bytesFetched };
  },

  async indexedDb() {
    let disk = await IndexedDbDisk.open("ext4", { size: SIZE });
    mkfs(disk, { uuid: UUID, assumeStoragePrezeroed: true });
    let fs = await mount(disk);
    for (let i = 0; i < 200; i++) await fs.writeFile(`/f${i}`, `text ${i}`.repeat(i));
    await fs.sync();
    await fs.writeFile("/lost", "never synced");
    await disk.close(); // as a page that goes away: not unmounted
    disk = await IndexedDbDisk.open("ext4");
    const { verdict } = check(disk);
    fs = await mount(disk);
    const result = { verdict, text: await fs.readFile("/f2", "utf8"), count: (await fs.readdir("/")).length };
    await fs.unmount();
    await disk.close();
    return result;
  },

  async opfs() {
    const root = await scope.navigator.storage.getDirectory();
    const file = await root.getFileHandle("ext4.img", { create: true });
    const disk = new OpfsDisk(await file.createSyncAccessHandle(), { size: SIZE });
    mkfs(disk, { uuid: UUID });
    const fs = await mount(disk);
    await fs.mkdir("/a/b", { recursive: true });
    const handle = await fs.open("/a/b/c", "w+");
    const writer = handle.writableWebStream().getWriter();
    await writer.write(new Uint8Array(3 << 20).fill(9));
    await writer.close();
    let length = 0;
    for await (const piece of handle.readableWebStream({ start: 0 })) length += piece.length;
    await handle.close();
    await fs.cp("/a", "/copy", { recursive: true });
    await fs.unmount();
    const { verdict } = check(disk);
    disk.close();
    return { verdict, length };
  },

  async memory() {
    const fs = await mount(await formatted());
    const path = await fs.mkdtemp("/tmp-");
    await fs.writeFile(`${path}/x`, "1");
    const found: string[] = [];
    for await (const name of fs.glob("**/x")) found.push(name);
    return found.length === 1 && found[0].startsWith("tmp-");
  },
};

async function formatted(): Promise<MemoryDisk> {
  const disk = new MemoryDisk(SIZE);
  mkfs(disk, { uuid: UUID, assumeStoragePrezeroed: true });
  return disk;
}

scope.onmessage = ({ data: [name, url] }) => {
  scenarios[name](url).then(
    (result) => scope.postMessage({ result }),
    (reason: unknown) => scope.postMessage({ error: String((reason as Error).stack ?? reason) }),
  );
};
