/**
 * The control queue of a network device: which frames the guest wants.
 *
 *   request = class u8, command u8, data …, ack u8 (written by the device)
 *
 * Spec: virtio 1.2 §5.1.6.5. Without a command everything is accepted: the device starts promiscuous, as QEMU's does.
 */
import type { ChainServer } from "./device.ts";
import type { DeviceQueue } from "./queue.ts";

export const NET_OK = 0;
export const NET_ERR = 1;
export const NET_CTRL_RX = 0;
export const NET_CTRL_MAC = 1;
export const NET_CTRL_VLAN = 2;
/** Commands of NET_CTRL_RX, each with one byte: on or off. */
export const NET_CTRL_RX_PROMISC = 0;
export const NET_CTRL_RX_ALLMULTI = 1;
export const NET_CTRL_RX_ALLUNI = 2;
export const NET_CTRL_RX_NOMULTI = 3;
export const NET_CTRL_RX_NOUNI = 4;
export const NET_CTRL_RX_NOBCAST = 5;
const RX_COMMANDS = 6;
export const NET_CTRL_MAC_TABLE_SET = 0;
export const NET_CTRL_MAC_ADDR_SET = 1;
export const NET_CTRL_VLAN_ADD = 0;
export const NET_CTRL_VLAN_DEL = 1;

const MAC_LENGTH = 6;
/** Addresses in a table; of a longer one the device takes all of that kind (§5.1.6.5.2.2). */
const MAX_TABLE = 64;
const MAX_VLANS = 4096;
const MAX_DATA: number = 2 * (4 + 1024 * MAC_LENGTH);
const ETHERTYPE_VLAN = 0x8100;

export class NetControl implements ChainServer {
  /** Configuration space of the device; the address is at its start. */
  readonly #config: Uint8Array;
  readonly #data: Uint8Array = new Uint8Array(2 + MAX_DATA);
  readonly #ack: Uint8Array = new Uint8Array(1);
  readonly #modes: Uint8Array = new Uint8Array(RX_COMMANDS);
  /** Addresses in six-byte runs; null = every address of that kind. */
  #unicast: Uint8Array | null = new Uint8Array(0);
  #multicast: Uint8Array | null = new Uint8Array(0);
  readonly #vlans: Uint8Array = new Uint8Array(MAX_VLANS);

  constructor(config: Uint8Array) {
    this.#config = config;
  }

  reset(): void {
    this.#modes.fill(0);
    this.#modes[NET_CTRL_RX_PROMISC] = 1;
    this.#unicast = new Uint8Array(0);
    this.#multicast = new Uint8Array(0);
    this.#vlans.fill(0);
  }

  /** Does the guest want this frame? `filtersVlans`: CTRL_VLAN was negotiated, so that tagged frames need their table. */
  accepts(frame: Uint8Array, filtersVlans: boolean): boolean {
    const modes = this.#modes;
    if (modes[NET_CTRL_RX_PROMISC] !== 0) return true;
    if (filtersVlans && ((frame[12] << 8) | frame[13]) === ETHERTYPE_VLAN) {
      if (this.#vlans[((frame[14] << 8) | frame[15]) & 0xfff] === 0) return false;
    }
    if (isBroadcast(frame)) return modes[NET_CTRL_RX_NOBCAST] === 0;
    if ((frame[0] & 1) !== 0) {
      if (modes[NET_CTRL_RX_NOMULTI] !== 0) return false;
      return modes[NET_CTRL_RX_ALLMULTI] !== 0 || isListed(this.#multicast, frame);
    }
    if (modes[NET_CTRL_RX_NOUNI] !== 0) return false;
    return (
      modes[NET_CTRL_RX_ALLUNI] !== 0 || isListed(this.#config.subarray(0, 6), frame) || isListed(this.#unicast, frame)
    );
  }

  serve(queue: DeviceQueue): number {
    const { chain } = queue;
    if (chain.readableBytes < 2 || chain.writableBytes < 1) return -1;
    const length = chain.read(0, this.#data, Math.min(chain.readableBytes, this.#data.length));
    const isWhole = length === chain.readableBytes;
    this.#ack[0] =
      isWhole && this.#run(this.#data[0], this.#data[1], this.#data.subarray(2, length)) ? NET_OK : NET_ERR;
    return chain.write(0, this.#ack, 1);
  }

  save(): readonly number[] {
    const tables = [this.#unicast, this.#multicast].flatMap((table) =>
      table === null ? [-1] : [table.length, ...table],
    );
    const vlans = Array.from(this.#vlans.keys()).filter((id) => this.#vlans[id] !== 0);
    return [...this.#modes, ...tables, ...vlans];
  }

  restore(state: readonly number[]): void {
    this.reset();
    this.#modes.set(state.slice(0, RX_COMMANDS));
    let at = RX_COMMANDS;
    const table = (): Uint8Array | null => {
      const length = state[at++];
      if (length < 0) return null;
      at += length;
      return Uint8Array.from(state.slice(at - length, at));
    };
    this.#unicast = table();
    this.#multicast = table();
    for (const id of state.slice(at)) this.#vlans[id] = 1;
  }

  /** False: the command is unknown or malformed. */
  #run(kind: number, command: number, data: Uint8Array): boolean {
    if (kind === NET_CTRL_RX && command < RX_COMMANDS && data.length === 1) {
      this.#modes[command] = data[0];
      return true;
    }
    if (kind === NET_CTRL_MAC && command === NET_CTRL_MAC_TABLE_SET) return this.#setTables(data);
    if (kind === NET_CTRL_MAC && command === NET_CTRL_MAC_ADDR_SET && data.length === MAC_LENGTH) {
      this.#config.set(data, 0);
      return true;
    }
    if (kind === NET_CTRL_VLAN && data.length === 2) return this.#setVlan(command, data[0] | (data[1] << 8));
    return false;
  }

  #setVlan(command: number, id: number): boolean {
    if (command > NET_CTRL_VLAN_DEL || id >= MAX_VLANS) return false;
    this.#vlans[id] = command === NET_CTRL_VLAN_ADD ? 1 : 0;
    return true;
  }

  /** Two tables, each a count le32 and addresses: unicast, multicast. */
  #setTables(data: Uint8Array): boolean {
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    const tables: Uint8Array[] = [];
    let at = 0;
    for (let i = 0; i < 2; i++) {
      if (at + 4 > data.length) return false;
      const byteLength = view.getUint32(at, true) * MAC_LENGTH;
      if (at + 4 + byteLength > data.length) return false;
      tables.push(data.slice(at + 4, at + 4 + byteLength));
      at += 4 + byteLength;
    }
    if (at !== data.length) return false;
    [this.#unicast, this.#multicast] = tables.map((table) => (table.length > MAX_TABLE * MAC_LENGTH ? null : table));
    return true;
  }
}

function isBroadcast(frame: Uint8Array): boolean {
  for (let i = 0; i < MAC_LENGTH; i++) if (frame[i] !== 0xff) return false;
  return true;
}

function isListed(table: Uint8Array | null, frame: Uint8Array): boolean {
  if (table === null) return true;
  for (let at = 0; at < table.length; at += MAC_LENGTH) {
    let i = 0;
    while (i < MAC_LENGTH && table[at + i] === frame[i]) i++;
    if (i === MAC_LENGTH) return true;
  }
  return false;
}
