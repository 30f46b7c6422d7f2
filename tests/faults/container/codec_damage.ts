import { crc32 } from "../../../src/base/crc32/crc32.ts";
import type { DType } from "../../../src/base/dtype.ts";
import { CairnError } from "../../../src/base/errors.ts";
import { codecByName } from "../../../src/container/codec/table.ts";
import { asBytes, bytesOf, weightsOf } from "../../container/samples.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { CODECS } from "./files.ts";

const RAW: readonly (readonly [DType, Uint8Array])[] = [
  ["f32", asBytes(weightsOf(512, 3))],
  ["bf16", asBytes(weightsOf(512, 4)).filter((_, i) => (i & 3) > 1)],
  ["i32", asBytes(Int32Array.from({ length: 512 }, (_, i) => i >> 3))],
  ["i64", asBytes(BigInt64Array.from({ length: 256 }, (_, i) => BigInt(i) ** 3n))],
  ["u8", Uint8Array.from({ length: 2048 }, (_, i) => i % 7)],
  ["f64", asBytes(Float64Array.from(weightsOf(256, 5)))],
];

/**
 * Row I2: damage straight at `decode`, behind all checksums. The host's codecs let truncations and flips through
 * (zstd, brotli), so that each of ours has to say what it took and made. Bits flipped in what is stored as it is are
 * for the checksum of the raw bytes, which is compared here as a reader compares it.
 */
export async function codecDamage(campaign: Campaign): Promise<void> {
  for (const codec of CODECS) {
    if (codec === "raw") continue;
    await campaign.row("I2", `truncations, flips, members, lengths at decode() (${codec})`, async (row) => {
      for (const [dtype, raw] of RAW) await damage(codec, dtype, raw, row);
    });
  }
}

async function damage(
  name: (typeof CODECS)[number],
  dtype: DType,
  raw: Uint8Array,
  row: RowRecorder,
): Promise<void> {
  const codec = codecByName(name);
  const stored = (await codec.encode(raw.slice(), dtype))?.slice();
  if (stored === undefined) return;
  const expected = crc32(raw);
  const attempt = async (
    bytes: Uint8Array,
    rawLength: number,
    what: string,
    mustThrow: boolean,
  ): Promise<void> => {
    row.point();
    try {
      const found = await codec.decode(bytes, rawLength, dtype);
      if (found.byteLength !== rawLength) {
        row.fail(`${dtype}, ${what}: ${found.byteLength} bytes instead of ${rawLength}`);
      } else if (mustThrow) row.fail(`${dtype}, ${what} was decoded`);
      // The same bytes from another code do no harm, and the checksum of the stored ones refuses them anyway.
      else if (crc32(found) === expected && Buffer.compare(found, raw) !== 0) {
        row.fail(`${dtype}, ${what} was accepted`);
      }
    } catch (error) {
      if (!(error instanceof CairnError) || error.code !== "invalid_container") {
        row.fail(`${dtype}, ${what}: ${error}`);
      }
    }
  };
  for (let length = 0; length < stored.byteLength; length++) {
    await attempt(
      stored.slice(0, length),
      raw.byteLength,
      `the first ${length} of ${stored.byteLength} bytes`,
      true,
    );
  }
  for (let bit = 0; bit < stored.byteLength * 8; bit++) {
    const flipped = stored.slice();
    flipped[bit >>> 3] = (flipped[bit >>> 3] as number) ^ (1 << (bit & 7));
    await attempt(flipped, raw.byteLength, `bit ${bit} flipped`, false);
  }
  for (const tail of [new Uint8Array(1), new Uint8Array(64), stored, stored.slice(-8), bytesOf(33, 1)]) {
    const longer = new Uint8Array(Buffer.concat([stored, tail]));
    await attempt(longer, raw.byteLength, `${tail.byteLength} bytes behind it`, true);
  }
  for (const length of [0, 256, raw.byteLength - 256, raw.byteLength + 256, 2 * raw.byteLength, 16 << 20]) {
    await attempt(stored, length, `as ${length} raw bytes`, true);
  }
}
