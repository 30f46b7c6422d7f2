import { crc32OfTables } from "./crc32_tables.ts";
import { nodeBuiltin } from "../node_builtin.ts";

/**
 * CRC-32 (IEEE 802.3, the one of zip and PNG) of `bytes`, as an unsigned 32-bit number.
 * `previous` is the result for the bytes before these, so that a stream can be summed piece by piece.
 * Uses `node:zlib` where there is one (5 GB/s and more), and {@link crc32OfTables} elsewhere.
 */
export function crc32(bytes: Uint8Array, previous = 0): number {
  const native = nodeBuiltin("node:zlib")?.crc32;
  return typeof native === "function" ? native(bytes, previous) : crc32OfTables(bytes, previous);
}
