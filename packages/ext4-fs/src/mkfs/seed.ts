import { CRC_INIT, crc32c } from "../checksum/crc32c.ts";

/** The checksum seed that metadata_csum_seed stores: that of the UUID at mkfs time. */
export function seedOfUuid(uuid: Uint8Array): number {
  return crc32c(CRC_INIT, uuid);
}
