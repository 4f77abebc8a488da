/** Numbers of the block device, virtio 1.2 §5.2, that its driver needs. */

// §5.2.3 Feature bits
export const BLK_F_SIZE_MAX: number = 1 << 1;
export const BLK_F_SEG_MAX: number = 1 << 2;
export const BLK_F_RO: number = 1 << 5;
export const BLK_F_BLK_SIZE: number = 1 << 6;
export const BLK_F_FLUSH: number = 1 << 9;
export const BLK_F_DISCARD: number = 1 << 13;
export const BLK_F_WRITE_ZEROES: number = 1 << 14;

// §5.2.4 struct virtio_blk_config
export const BLK_CONFIG_CAPACITY = 0; // le64, sectors
export const BLK_CONFIG_SIZE_MAX = 8; // le32, bytes
export const BLK_CONFIG_SEG_MAX = 12; // le32
export const BLK_CONFIG_BLK_SIZE = 20; // le32, bytes
export const BLK_CONFIG_MAX_DISCARD_SECTORS = 36; // le32
export const BLK_CONFIG_MAX_WRITE_ZEROES_SECTORS = 48; // le32

// §5.2.6 struct virtio_blk_req
export const BLK_T_IN = 0;
export const BLK_T_OUT = 1;
export const BLK_T_FLUSH = 4;
export const BLK_T_GET_ID = 8;
export const BLK_T_DISCARD = 11;
export const BLK_T_WRITE_ZEROES = 13;
export const BLK_S_OK = 0;
export const BLK_S_UNSUPP = 2;
export const BLK_HEADER_SIZE = 16;
export const BLK_ID_LENGTH = 20;

// struct virtio_blk_discard_write_zeroes
export const BLK_RANGE_SIZE = 16;
export const BLK_RANGE_F_UNMAP = 1;

/** Unit of block ids and capacity, whatever the logical block size. */
export const SECTOR_SIZE = 512;
