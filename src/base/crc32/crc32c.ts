import { byteTable } from "./byte_table.ts";

const REVERSED_POLYNOMIAL = 0x82f63b78;

let table: Uint32Array | undefined;

/**
 * CRC-32C (Castagnoli, the one of iSCSI and of TensorBoard's files) of `bytes`, as an unsigned 32-bit number. A byte at
 * a time: for short records.
 */
export function crc32c(bytes: Uint8Array): number {
  const step = table ??= byteTable(REVERSED_POLYNOMIAL);
  let register = 0xffff_ffff;
  for (const byte of bytes) register = (register >>> 8) ^ (step[(register ^ byte) & 0xff] as number);
  return ~register >>> 0;
}
