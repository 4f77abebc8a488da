/** Numbers of the block device, virtio 1.2 §5.2, that its driver needs. */
import { accepted, type Feature, ignored } from "./features.ts";

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

export const BLK_FEATURES: readonly Feature[] = [
  ignored(0, "BLK_F_BARRIER", "legacy"),
  accepted(1, "BLK_F_SIZE_MAX", "segments are split"),
  accepted(2, "BLK_F_SEG_MAX", "requests are split"),
  accepted(4, "BLK_F_GEOMETRY", "`geometry`"),
  accepted(5, "BLK_F_RO", "`readOnly`; writes answer ERR_READ_ONLY"),
  accepted(6, "BLK_F_BLK_SIZE", "`logicalBlockSize`"),
  ignored(7, "BLK_F_SCSI", "legacy"),
  accepted(9, "BLK_F_FLUSH", "`flush`"),
  accepted(10, "BLK_F_TOPOLOGY", "`topology`"),
  accepted(11, "BLK_F_CONFIG_WCE", "`writeCache`, `setWriteCache`"),
  accepted(12, "BLK_F_MQ", "`queueCount`; non-blocking requests go around"),
  accepted(13, "BLK_F_DISCARD", "`discard`"),
  accepted(14, "BLK_F_WRITE_ZEROES", "`writeZeroes`"),
  ignored(15, "BLK_F_LIFETIME", "no use for it"),
  accepted(16, "BLK_F_SECURE_ERASE", "`secureErase`"),
  ignored(17, "BLK_F_ZONED", "no zones"),
];

// §5.2.4 struct virtio_blk_config
export const BLK_CONFIG_CAPACITY = 0; // le64, sectors
export const BLK_CONFIG_SIZE_MAX = 8; // le32, bytes
export const BLK_CONFIG_SEG_MAX = 12; // le32
export const BLK_CONFIG_CYLINDERS = 16; // le16
export const BLK_CONFIG_HEADS = 18; // u8
export const BLK_CONFIG_SECTORS = 19; // u8
export const BLK_CONFIG_BLK_SIZE = 20; // le32, bytes
export const BLK_CONFIG_PHYSICAL_BLOCK_EXP = 24; // u8
export const BLK_CONFIG_ALIGNMENT_OFFSET = 25; // u8
export const BLK_CONFIG_MIN_IO_SIZE = 26; // le16
export const BLK_CONFIG_OPT_IO_SIZE = 28; // le32
export const BLK_CONFIG_WRITEBACK = 32; // u8
export const BLK_CONFIG_NUM_QUEUES = 34; // le16
export const BLK_CONFIG_MAX_DISCARD_SECTORS = 36; // le32
export const BLK_CONFIG_DISCARD_SECTOR_ALIGNMENT = 44; // le32
export const BLK_CONFIG_MAX_WRITE_ZEROES_SECTORS = 48; // le32
export const BLK_CONFIG_MAX_SECURE_ERASE_SECTORS = 60; // le32

// §5.2.6 struct virtio_blk_req
export const BLK_T_IN = 0;
export const BLK_T_OUT = 1;
export const BLK_T_FLUSH = 4;
export const BLK_T_GET_ID = 8;
export const BLK_T_DISCARD = 11;
export const BLK_T_WRITE_ZEROES = 13;
export const BLK_T_SECURE_ERASE = 14;
export const BLK_S_OK = 0;
export const BLK_S_UNSUPP = 2;
export const BLK_HEADER_SIZE = 16;
export const BLK_ID_LENGTH = 20;

// struct virtio_blk_discard_write_zeroes
export const BLK_RANGE_SIZE = 16;
export const BLK_RANGE_F_UNMAP = 1;

/** Does the request type carry a range instead of a sector and data? */
export function isRangeRequest(type: number): boolean {
  return type === BLK_T_DISCARD || type === BLK_T_WRITE_ZEROES || type === BLK_T_SECURE_ERASE;
}

/** Unit of block ids and capacity, whatever the logical block size. */
export const SECTOR_SIZE = 512;
