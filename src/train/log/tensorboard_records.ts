import { crc32c } from "../../base/crc32/crc32c.ts";
import type { RecordRange } from "./log_file.ts";

/** Length (u64), its checksum, the bytes, theirs. */
const HEAD_BYTES = 12;
const FOOT_BYTES = 4;

/** The checksum as TFRecord files have it: one of bytes that have checksums themselves would be weak otherwise. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** A record of a TFRecord file, of which TensorBoard's are. */
export function tfRecord(payload: Uint8Array): Uint8Array {
  const record = new Uint8Array(HEAD_BYTES + payload.length + FOOT_BYTES);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(payload.length), true);
  view.setUint32(8, maskedCrc32c(record.subarray(0, 8)), true);
  record.set(payload, HEAD_BYTES);
  view.setUint32(HEAD_BYTES + payload.length, maskedCrc32c(payload), true);
  return record;
}

/** The whole records of a file, up to the first that is not: a process was killed while it wrote that. */
export function tfRecordsOf(bytes: Uint8Array): (RecordRange & { readonly payload: Uint8Array })[] {
  const records: (RecordRange & { readonly payload: Uint8Array })[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let start = 0; start + HEAD_BYTES + FOOT_BYTES <= bytes.length;) {
    const length = Number(view.getBigUint64(start, true));
    const foot = start + HEAD_BYTES + length;
    if (foot + FOOT_BYTES > bytes.length) break;
    if (view.getUint32(start + 8, true) !== maskedCrc32c(bytes.subarray(start, start + 8))) break;
    const payload = bytes.subarray(start + HEAD_BYTES, foot);
    if (view.getUint32(foot, true) !== maskedCrc32c(payload)) break;
    const end = foot + FOOT_BYTES;
    records.push({ start, end, payload });
    start = end;
  }
  return records;
}
