/**
 * virtio 9P transport, device side: a host folder for the guest to mount, by `mount -t 9p -o trans=virtio TAG /mnt` on Linux.
 *
 * One queue; a chain is a request in its readable part and room for the answer in its writable part. The configuration space
 * holds the mount tag. The transport has no chapter of its own in virtio 1.2; the layout is that of Linux's virtio_9p.h.
 */
import { type ChainServer, drain, ModelBase } from "../device.ts";
import { type Feature, offered } from "../features.ts";
import type { DeviceQueue } from "../queue.ts";
import { DEVICE_ID_9P } from "../spec.ts";
import type { SharedFolder } from "./folder.ts";
import { encodeUtf8, MessageCursor } from "./message.ts";
import { P9Server } from "./server.ts";

export const P9_FEATURES: readonly Feature[] = [offered(0, "9P_F_MOUNT_TAG", "always")];

const MAX_MESSAGE = 524_288 + 4096;
const HEADER = 7;
const ERROR_LENGTH: number = HEADER + 4;

export interface P9DeviceOptions {
  readonly folder: SharedFolder;
  /** Name under which the guest mounts the folder, 1..255 bytes. */
  readonly tag: string;
  /** Answer EROFS to whatever would change the folder. Default false. */
  readonly readOnly?: boolean;
  /** Time since 1970 for `touch` and its like. */
  readonly now: () => { readonly seconds: number; readonly nanoseconds: number };
}

export class P9Device extends ModelBase implements ChainServer {
  readonly deviceId: number = DEVICE_ID_9P;
  readonly features: number = 1;
  readonly queueSizes: readonly number[] = [128];
  readonly config: Uint8Array;
  readonly #server: P9Server;
  readonly #request: MessageCursor = new MessageCursor(MAX_MESSAGE);
  readonly #response: MessageCursor = new MessageCursor(MAX_MESSAGE);

  constructor(options: P9DeviceOptions) {
    super();
    const tag = encodeUtf8(options.tag);
    if (tag.length < 1 || tag.length > 255) throw new RangeError(`"tag" expected 1..255 bytes, got ${tag.length}`);
    this.config = Uint8Array.of(tag.length & 0xff, tag.length >> 8, ...tag);
    this.#server = new P9Server({
      folder: options.folder,
      readOnly: options.readOnly ?? false,
      maxMessage: MAX_MESSAGE,
      now: options.now,
    });
  }

  notify(index: number): void {
    drain(this.port, this.port.queues[index], this);
  }

  serve(queue: DeviceQueue): number {
    const { chain } = queue;
    const request = this.#request;
    const length = chain.read(0, request.bytes, Math.min(chain.readableBytes, MAX_MESSAGE));
    if (length < HEADER || chain.writableBytes < ERROR_LENGTH) return -1;
    const size = request.view.getUint32(0, true);
    if (size < HEADER || size > length) return -1;
    request.begin(0, size);
    const answer = this.#server.respond(request, this.#response, Math.min(chain.writableBytes, MAX_MESSAGE));
    return chain.write(0, this.#response.bytes, answer);
  }

  override reset(): void {
    this.#server.reset();
  }

  /** Open files are the host's: a restored guest finds its fids gone, and its mount answers EBADF. */
  override restore(): void {
    this.#server.reset();
  }
}
