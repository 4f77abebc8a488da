/**
 * virtio block device, device side, over a `BlockBackend`.
 *
 *   request = { type le32, reserved le32, sector le64 } data… status u8       (§5.2.6)
 *
 * The header is at the start of the readable part, the status byte at the end of the writable part; where descriptor
 * borders fall does not matter (§2.7.4). Whole sectors inside one descriptor move between guest RAM and backend
 * without a copy; a sector that straddles descriptors goes through one 512-byte buffer.
 *
 * On an error the data part of a read is zeroed, so that the used length always covers the status byte.
 *
 * Spec: virtio 1.2 §5.2.
 */
import type { BlockBackend } from "../seams.ts";
import type { ChainServer, VirtioModel, VirtioPort } from "./device.ts";
import { drain } from "./device.ts";
import type { DescriptorChain, DeviceQueue } from "./queue.ts";
import { absent, type Feature, offered } from "./features.ts";
import { DEVICE_ID_BLOCK } from "./spec.ts";

export const BLK_FEATURES: readonly Feature[] = [
  absent(0, "BLK_F_BARRIER", "legacy"),
  offered(1, "BLK_F_SIZE_MAX", "with `sizeMax`"),
  offered(2, "BLK_F_SEG_MAX", "always"),
  offered(4, "BLK_F_GEOMETRY", "with `geometry`"),
  offered(5, "BLK_F_RO", "for a read-only backend"),
  offered(6, "BLK_F_BLK_SIZE", "always"),
  absent(7, "BLK_F_SCSI", "legacy"),
  offered(9, "BLK_F_FLUSH", "always"),
  offered(10, "BLK_F_TOPOLOGY", "always"),
  offered(11, "BLK_F_CONFIG_WCE", "always"),
  offered(12, "BLK_F_MQ", "with `queueCount` above 1"),
  offered(13, "BLK_F_DISCARD", "if the backend can"),
  offered(14, "BLK_F_WRITE_ZEROES", "unless the backend is read-only; in multiples of 512 bytes"),
  absent(15, "BLK_F_LIFETIME", "no flash wears out here"),
  offered(16, "BLK_F_SECURE_ERASE", "if the backend can"),
  absent(17, "BLK_F_ZONED", "no zones"),
];

// §5.2.3 Feature bits
export const BLK_F_SIZE_MAX: number = 1 << 1;
export const BLK_F_SEG_MAX: number = 1 << 2;
export const BLK_F_GEOMETRY: number = 1 << 4;
export const BLK_F_RO: number = 1 << 5;
export const BLK_F_BLK_SIZE: number = 1 << 6;
export const BLK_F_FLUSH: number = 1 << 9;
export const BLK_F_TOPOLOGY: number = 1 << 10;
export const BLK_F_CONFIG_WCE: number = 1 << 11;
export const BLK_F_MQ: number = 1 << 12;
export const BLK_F_DISCARD: number = 1 << 13;
export const BLK_F_WRITE_ZEROES: number = 1 << 14;
export const BLK_F_SECURE_ERASE: number = 1 << 16;

// §5.2.4 struct virtio_blk_config
export const BLK_CONFIG_CAPACITY = 0; // le64, 512-byte sectors
export const BLK_CONFIG_SIZE_MAX = 8; // le32, bytes
export const BLK_CONFIG_SEG_MAX = 12; // le32
export const BLK_CONFIG_CYLINDERS = 16; // le16
export const BLK_CONFIG_HEADS = 18; // u8
export const BLK_CONFIG_SECTORS = 19; // u8
export const BLK_CONFIG_BLK_SIZE = 20; // le32, bytes
export const BLK_CONFIG_PHYSICAL_BLOCK_EXP = 24; // u8, log2 of logical blocks per physical block
export const BLK_CONFIG_MIN_IO_SIZE = 26; // le16, logical blocks
export const BLK_CONFIG_OPT_IO_SIZE = 28; // le32, logical blocks
export const BLK_CONFIG_WRITEBACK = 32; // u8
export const BLK_CONFIG_NUM_QUEUES = 34; // le16
export const BLK_CONFIG_MAX_DISCARD_SECTORS = 36; // le32
export const BLK_CONFIG_MAX_DISCARD_SEG = 40; // le32
export const BLK_CONFIG_DISCARD_SECTOR_ALIGNMENT = 44; // le32
export const BLK_CONFIG_MAX_WRITE_ZEROES_SECTORS = 48; // le32
export const BLK_CONFIG_MAX_WRITE_ZEROES_SEG = 52; // le32
export const BLK_CONFIG_WRITE_ZEROES_MAY_UNMAP = 56; // u8
export const BLK_CONFIG_MAX_SECURE_ERASE_SECTORS = 60; // le32
export const BLK_CONFIG_MAX_SECURE_ERASE_SEG = 64; // le32
export const BLK_CONFIG_SECURE_ERASE_SECTOR_ALIGNMENT = 68; // le32
const CONFIG_LENGTH = 72;

// §5.2.6 Device Operation
export const BLK_T_IN = 0;
export const BLK_T_OUT = 1;
export const BLK_T_FLUSH = 4;
export const BLK_T_GET_ID = 8;
export const BLK_T_DISCARD = 11;
export const BLK_T_WRITE_ZEROES = 13;
export const BLK_T_SECURE_ERASE = 14;
export const BLK_S_OK = 0;
export const BLK_S_IOERR = 1;
export const BLK_S_UNSUPP = 2;

const HEADER_SIZE = 16;
const RANGE_SIZE = 16; // struct virtio_blk_discard_write_zeroes
const RANGE_F_UNMAP = 1;
const ID_LENGTH = 20;
const SECTOR_SIZE = 512;
const MAX_RANGES = 64;
const MAX_RANGE_SECTORS = 65536; // 32 MiB a segment
const ZERO_SECTORS = 128;
const TWO_POW_32 = 0x1_0000_0000;

export interface BlockDeviceOptions {
  readonly backend: BlockBackend;
  /** Serial number, up to 20 ASCII characters. Default "". */
  readonly serial?: string;
  /** Logical block size told to the driver, a power of two from 512 to 32768 bytes. Default 512. */
  readonly logicalBlockSize?: number;
  /** Physical block size told to the driver, at least the logical one. Default 4096. */
  readonly physicalBlockSize?: number;
  /** Request queues, 1..16. Default 1. */
  readonly queueCount?: number;
  /** Size of each queue, a power of two from 4 to 1024. Default 128. */
  readonly queueSize?: number;
  /** Cylinders, heads and sectors for guests that ask; they mean nothing. Default: not told. */
  readonly geometry?: { readonly cylinders: number; readonly heads: number; readonly sectors: number };
  /** Largest data segment in bytes; 0 = no limit (SIZE_MAX not offered). Default 0. */
  readonly sizeMax?: number;
}

export class BlockDevice implements VirtioModel, ChainServer {
  readonly deviceId: number = DEVICE_ID_BLOCK;
  readonly features: number;
  readonly queueSizes: readonly number[];
  readonly config: Uint8Array = new Uint8Array(CONFIG_LENGTH);
  readonly #backend: BlockBackend;
  readonly #serial: Uint8Array = new Uint8Array(ID_LENGTH);
  readonly #configView: DataView;
  readonly #header: Uint8Array = new Uint8Array(HEADER_SIZE);
  readonly #headerView: DataView;
  readonly #sector: Uint8Array = new Uint8Array(SECTOR_SIZE);
  readonly #zeroes: Uint8Array = new Uint8Array(SECTOR_SIZE * ZERO_SECTORS);
  readonly #status: Uint8Array = new Uint8Array(1);
  #capacity = 0; // sectors
  #port!: VirtioPort;

  /** Throws RangeError for options outside their ranges. */
  constructor(options: BlockDeviceOptions) {
    const logical = options.logicalBlockSize ?? SECTOR_SIZE;
    const physical = Math.max(options.physicalBlockSize ?? 4096, logical);
    const queueCount = options.queueCount ?? 1;
    const queueSize = options.queueSize ?? 128;
    const sizeMax = options.sizeMax ?? 0;
    checkPowerOfTwo("logicalBlockSize", logical, SECTOR_SIZE, 32768);
    checkPowerOfTwo("physicalBlockSize", physical, SECTOR_SIZE, 1 << 20);
    checkPowerOfTwo("queueSize", queueSize, 4, 1024);
    if (!Number.isInteger(queueCount) || queueCount < 1 || queueCount > 16)
      throw new RangeError(`"queueCount" expected 1..16, got ${queueCount}`);
    if (!Number.isInteger(sizeMax) || sizeMax < 0 || sizeMax > 0xffff_ffff)
      throw new RangeError(`"sizeMax" expected 0..2^32-1, got ${sizeMax}`);
    if (options.backend.blockSize !== SECTOR_SIZE)
      throw new RangeError(`"backend.blockSize" expected 512, got ${options.backend.blockSize}`);
    this.#backend = options.backend;
    this.#configView = new DataView(this.config.buffer);
    this.#headerView = new DataView(this.#header.buffer);
    this.queueSizes = new Array<number>(queueCount).fill(queueSize);
    this.#storeSerial(options.serial ?? "");

    let features = BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_FLUSH | BLK_F_TOPOLOGY | BLK_F_CONFIG_WCE;
    if (sizeMax !== 0) features |= BLK_F_SIZE_MAX;
    if (queueCount > 1) features |= BLK_F_MQ;
    if (this.#backend.readOnly) features |= BLK_F_RO;
    else features |= BLK_F_WRITE_ZEROES;
    const canDiscard = !this.#backend.readOnly && this.#backend.discard !== undefined;
    if (canDiscard) features |= BLK_F_DISCARD;
    const canErase = !this.#backend.readOnly && this.#backend.secureErase !== undefined;
    if (canErase) features |= BLK_F_SECURE_ERASE;
    if (options.geometry !== undefined) features |= BLK_F_GEOMETRY;
    this.features = features;

    const view = this.#configView;
    view.setUint32(BLK_CONFIG_SIZE_MAX, sizeMax, true);
    view.setUint32(BLK_CONFIG_SEG_MAX, queueSize - 2, true); // header and status take two descriptors
    view.setUint32(BLK_CONFIG_BLK_SIZE, logical, true);
    this.config[BLK_CONFIG_PHYSICAL_BLOCK_EXP] = Math.log2(physical / logical);
    view.setUint16(BLK_CONFIG_MIN_IO_SIZE, physical / logical, true);
    if (queueCount > 1) view.setUint16(BLK_CONFIG_NUM_QUEUES, queueCount, true);
    if (canDiscard) {
      view.setUint32(BLK_CONFIG_MAX_DISCARD_SECTORS, MAX_RANGE_SECTORS, true);
      view.setUint32(BLK_CONFIG_MAX_DISCARD_SEG, MAX_RANGES, true);
      view.setUint32(BLK_CONFIG_DISCARD_SECTOR_ALIGNMENT, physical / SECTOR_SIZE, true);
    }
    if (!this.#backend.readOnly) {
      view.setUint32(BLK_CONFIG_MAX_WRITE_ZEROES_SECTORS, MAX_RANGE_SECTORS, true);
      view.setUint32(BLK_CONFIG_MAX_WRITE_ZEROES_SEG, MAX_RANGES, true);
      if (this.#backend.writeZeroes !== undefined) this.config[BLK_CONFIG_WRITE_ZEROES_MAY_UNMAP] = 1;
    }
    if (canErase) {
      view.setUint32(BLK_CONFIG_MAX_SECURE_ERASE_SECTORS, MAX_RANGE_SECTORS, true);
      view.setUint32(BLK_CONFIG_MAX_SECURE_ERASE_SEG, MAX_RANGES, true);
      view.setUint32(BLK_CONFIG_SECURE_ERASE_SECTOR_ALIGNMENT, 1, true);
    }
    if (options.geometry !== undefined) {
      view.setUint16(BLK_CONFIG_CYLINDERS, options.geometry.cylinders, true);
      view.setUint8(BLK_CONFIG_HEADS, options.geometry.heads);
      view.setUint8(BLK_CONFIG_SECTORS, options.geometry.sectors);
    }
    this.#storeCapacity();
    this.reset();
  }

  connect(port: VirtioPort): void {
    this.#port = port;
  }

  /** The backend's size changed: updates the capacity and notifies the guest. */
  resized(): void {
    this.#storeCapacity();
    this.#port.configChanged();
  }

  featuresChosen(features: number): boolean {
    // §5.2.5.2: with CONFIG_WCE but without FLUSH the cache must be write-through.
    if ((features & BLK_F_CONFIG_WCE) !== 0 && (features & BLK_F_FLUSH) === 0) this.config[BLK_CONFIG_WRITEBACK] = 0;
    return true;
  }

  notify(index: number): void {
    drain(this.#port, this.#port.queues[index], this);
  }

  writeConfig(offset: number, value: number): void {
    if (offset === BLK_CONFIG_WRITEBACK && (this.#port.driverFeaturesLow & BLK_F_CONFIG_WCE) !== 0) {
      this.config[BLK_CONFIG_WRITEBACK] = value & 1;
    }
  }

  reset(): void {
    this.config[BLK_CONFIG_WRITEBACK] = 1;
  }

  save(): readonly number[] {
    return [];
  }

  restore(): void {
    this.#capacity =
      this.#configView.getUint32(BLK_CONFIG_CAPACITY, true) +
      this.#configView.getUint32(BLK_CONFIG_CAPACITY + 4, true) * TWO_POW_32;
  }

  /** Serves one request chain. -1 if it lacks a header or a status byte: there is no way to answer it. */
  serve(queue: DeviceQueue): number {
    const chain = queue.chain;
    if (chain.readableBytes < HEADER_SIZE || chain.writableBytes < 1) return -1;
    chain.read(0, this.#header, HEADER_SIZE);
    const type = this.#headerView.getUint32(0, true);
    const sector = this.#headerView.getUint32(8, true) + this.#headerView.getUint32(12, true) * TWO_POW_32;
    const dataIn = chain.writableBytes - 1;
    const dataOut = chain.readableBytes - HEADER_SIZE;
    let status: number;
    if (type === BLK_T_IN) status = this.#transfer(chain, sector, dataIn, true);
    else if (type === BLK_T_OUT) status = this.#write(chain, sector, dataOut);
    else if (type === BLK_T_FLUSH) status = this.#backend.flush() === 0 ? BLK_S_OK : BLK_S_IOERR;
    else if (type === BLK_T_GET_ID) status = this.#getId(chain, dataIn);
    else if (this.#isRangeRequest(type)) status = this.#ranges(chain, dataOut, type);
    else status = BLK_S_UNSUPP;
    if (status !== BLK_S_OK && dataIn > 0) this.#zeroData(chain, dataIn);
    this.#status[0] = status;
    chain.write(dataIn, this.#status, 1);
    return dataIn + 1;
  }

  #write(chain: DescriptorChain, sector: number, byteLength: number): number {
    if (this.#backend.readOnly) return BLK_S_IOERR;
    const status = this.#transfer(chain, sector, byteLength, false);
    return status === BLK_S_OK && this.#isWriteThrough() && this.#backend.flush() !== 0 ? BLK_S_IOERR : status;
  }

  /** §5.2.6.2: must a write be stable when it is reported complete? */
  #isWriteThrough(): boolean {
    const features = this.#port.driverFeaturesLow;
    if ((features & BLK_F_CONFIG_WCE) !== 0) return this.config[BLK_CONFIG_WRITEBACK] === 0;
    return (features & BLK_F_FLUSH) === 0;
  }

  /** Moves the data part between chain and backend. `isRead`: backend → guest RAM. */
  #transfer(chain: DescriptorChain, sector: number, byteLength: number, isRead: boolean): number {
    if (byteLength % SECTOR_SIZE !== 0 || !this.#inRange(sector, byteLength / SECTOR_SIZE)) return BLK_S_IOERR;
    const memory = this.#port.memory;
    let segment = isRead ? chain.readableCount : 0;
    let offset = isRead ? 0 : HEADER_SIZE; // in the segment
    let done = 0;
    while (done < byteLength) {
      if (offset >= chain.byteLength[segment]) {
        offset -= chain.byteLength[segment];
        segment++;
        continue;
      }
      const here = Math.min(chain.byteLength[segment] - offset, byteLength - done);
      const whole = here - (here % SECTOR_SIZE);
      let step = whole;
      if (whole > 0) {
        const start = chain.start[segment] + offset;
        const ram = memory.bytes.subarray(start, start + whole);
        const result = isRead ? this.#backend.readBlock(sector, ram) : this.#backend.writeBlock(sector, ram);
        if (isRead) memory.didWrite?.(memory.base + start, whole);
        if (result !== 0) return BLK_S_IOERR;
      } else {
        step = SECTOR_SIZE;
        if (!this.#transferSplitSector(chain, sector, done, isRead)) return BLK_S_IOERR;
      }
      done += step;
      offset += step;
      sector += step / SECTOR_SIZE;
    }
    return BLK_S_OK;
  }

  #transferSplitSector(chain: DescriptorChain, sector: number, dataOffset: number, isRead: boolean): boolean {
    if (!isRead) {
      chain.read(HEADER_SIZE + dataOffset, this.#sector, SECTOR_SIZE);
      return this.#backend.writeBlock(sector, this.#sector) === 0;
    }
    if (this.#backend.readBlock(sector, this.#sector) !== 0) return false;
    chain.write(dataOffset, this.#sector, SECTOR_SIZE);
    return true;
  }

  #getId(chain: DescriptorChain, byteLength: number): number {
    if (byteLength < ID_LENGTH) return BLK_S_IOERR;
    chain.write(0, this.#serial, ID_LENGTH);
    return BLK_S_OK;
  }

  #isRangeRequest(type: number): boolean {
    if (type === BLK_T_WRITE_ZEROES) return true; // IOERR, if the device is read-only
    if (type === BLK_T_DISCARD) return (this.features & BLK_F_DISCARD) !== 0;
    return type === BLK_T_SECURE_ERASE && (this.features & BLK_F_SECURE_ERASE) !== 0;
  }

  /** Every range is checked before the first one is touched. */
  #ranges(chain: DescriptorChain, byteLength: number, type: number): number {
    const isWriteZeroes = type === BLK_T_WRITE_ZEROES;
    if (this.#backend.readOnly || byteLength === 0 || byteLength % RANGE_SIZE !== 0) return BLK_S_IOERR;
    const count = byteLength / RANGE_SIZE;
    if (count > MAX_RANGES) return BLK_S_IOERR;
    for (let i = 0; i < count; i++) {
      this.#readRange(chain, i);
      const flags = this.#headerView.getUint32(12, true);
      if ((flags & ~(isWriteZeroes ? RANGE_F_UNMAP : 0)) !== 0) return BLK_S_UNSUPP;
      const sectors = this.#headerView.getUint32(8, true);
      if (sectors > MAX_RANGE_SECTORS || !this.#inRange(this.#rangeSector(), sectors)) return BLK_S_IOERR;
    }
    for (let i = 0; i < count; i++) {
      this.#readRange(chain, i);
      const sector = this.#rangeSector();
      const sectors = this.#headerView.getUint32(8, true);
      const result = this.#applyRange(type, sector, sectors);
      if (result !== 0) return BLK_S_IOERR;
    }
    return isWriteZeroes && this.#isWriteThrough() && this.#backend.flush() !== 0 ? BLK_S_IOERR : BLK_S_OK;
  }

  #applyRange(type: number, sector: number, sectors: number): number {
    if (type === BLK_T_WRITE_ZEROES) return this.#writeZeroes(sector, sectors);
    return type === BLK_T_DISCARD
      ? this.#backend.discard!(sector, sectors)
      : this.#backend.secureErase!(sector, sectors);
  }

  #readRange(chain: DescriptorChain, index: number): void {
    chain.read(HEADER_SIZE + RANGE_SIZE * index, this.#header, RANGE_SIZE);
  }

  #rangeSector(): number {
    return this.#headerView.getUint32(0, true) + this.#headerView.getUint32(4, true) * TWO_POW_32;
  }

  #writeZeroes(sector: number, sectors: number): number {
    if (this.#backend.writeZeroes !== undefined) return this.#backend.writeZeroes(sector, sectors);
    for (let done = 0; done < sectors; ) {
      const count = Math.min(sectors - done, ZERO_SECTORS);
      const result = this.#backend.writeBlock(sector + done, this.#zeroes.subarray(0, count * SECTOR_SIZE));
      if (result !== 0) return result;
      done += count;
    }
    return 0;
  }

  /** The first `byteLength` bytes of the writable part: what a failed read would have filled. */
  #zeroData(chain: DescriptorChain, byteLength: number): void {
    const memory = this.#port.memory;
    for (let i = chain.readableCount; i < chain.count && byteLength > 0; i++) {
      const length = Math.min(chain.byteLength[i], byteLength);
      memory.bytes.fill(0, chain.start[i], chain.start[i] + length);
      memory.didWrite?.(memory.base + chain.start[i], length);
      byteLength -= length;
    }
  }

  /** Exact also for sector numbers near 2^64, which round but stay far above any capacity. */
  #inRange(sector: number, count: number): boolean {
    return sector + count <= this.#capacity;
  }

  #storeCapacity(): void {
    this.#capacity = Math.floor(this.#backend.size / SECTOR_SIZE);
    this.#configView.setUint32(BLK_CONFIG_CAPACITY, this.#capacity % TWO_POW_32, true);
    this.#configView.setUint32(BLK_CONFIG_CAPACITY + 4, Math.floor(this.#capacity / TWO_POW_32), true);
  }

  #storeSerial(serial: string): void {
    if (serial.length > ID_LENGTH) throw new RangeError(`"serial" expected up to 20 characters, got ${serial.length}`);
    for (let i = 0; i < serial.length; i++) this.#serial[i] = serial.charCodeAt(i) & 0x7f;
  }
}

function checkPowerOfTwo(name: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max || (value & (value - 1)) !== 0) {
    throw new RangeError(`"${name}" expected a power of two in ${min}..${max}, got ${value}`);
  }
}
