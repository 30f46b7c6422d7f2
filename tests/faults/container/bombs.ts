import zlib from "node:zlib";
import type { DType } from "../../../src/base/dtype.ts";
import { CairnError } from "../../../src/base/errors.ts";
import { codecByName } from "../../../src/container/codec/table.ts";
import { cpuMs } from "../../helpers/cpu_time.ts";
import { peakGrowth } from "../../helpers/peak_memory.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { CODECS } from "./files.ts";

const MOST_MS = 1000;
const MOST_BYTES = 64 << 20;
/** A stream of a MiB that is right: were it refused, so would the others be for the wrong reason. */
const CONTROL = "a good stream";
const SIZE = { f32: 4, bf16: 2, u8: 1, f64: 8 } as const;

/** Row I1: stored bytes that would unpack to far more than the chunk says, or that never end. */
export async function bombs(campaign: Campaign): Promise<void> {
  for (const codec of CODECS) {
    if (codec === "raw") continue;
    await campaign.row("I1", `decompression bombs (${codec})`, async (row) => {
      let [slowest, largest] = [0, 0];
      for (const [what, dtype, stored, rawLength] of await bombsFor(codec)) {
        row.point();
        let outcome: unknown;
        const start = cpuMs();
        const growth = await peakGrowth(async () => {
          try {
            await codecByName(codec).decode(stored, rawLength, dtype);
          } catch (error) {
            outcome = error;
          }
        });
        const took = cpuMs() - start;
        slowest = Math.max(slowest, took);
        largest = Math.max(largest, growth);
        judge(what, outcome, took, growth, row);
      }
      row.note(
        `slowest ${slowest.toFixed(0)} ms, most memory ${(largest / 2 ** 20).toFixed(0)} MiB above the start`,
      );
    });
  }
}

function judge(what: string, outcome: unknown, took: number, growth: number, row: RowRecorder): void {
  if (what.startsWith(CONTROL)) {
    if (outcome !== undefined) row.fail(`${what}: ${outcome}`);
  } else if (!(outcome instanceof CairnError)) row.fail(`${what}: ${outcome ?? "was decoded"}`);
  if (took > MOST_MS) row.fail(`${what} took ${took.toFixed(0)} ms`);
  if (growth > MOST_BYTES) row.fail(`${what} took ${growth >> 20} MiB`);
}

type Bomb = readonly [what: string, dtype: DType, stored: Uint8Array, rawLength: number];

async function bombsFor(name: (typeof CODECS)[number]): Promise<Bomb[]> {
  const codec = codecByName(name);
  const found: Bomb[] = [];
  // What our own encoder makes of 16 MiB, handed over as 1 KiB or 4 KiB.
  for (const dtype of Object.keys(SIZE) as (keyof typeof SIZE)[]) {
    const stored = await codec.encode(new Uint8Array(16 << 20), dtype);
    if (stored === undefined) continue;
    const kept = stored.slice();
    for (const rawLength of [256, 1024, 4096, 1 << 20, (16 << 20) - 256]) {
      found.push([`16 MiB of ${dtype} as ${rawLength} bytes`, dtype, kept, rawLength]);
    }
  }
  // Both store planes as their lengths and then a stream each.
  const streams = name === "deflate" ? zlibBombs() : name === "zstd" ? zstdBombs() : [];
  for (const [what, stream] of streams) {
    for (const dtype of ["u8", "f32"] as const) {
      const rawLength = SIZE[dtype] << 20;
      // The codec zstd pads what would be smaller than a part in 1024.
      const stored = inPlanes(stream, SIZE[dtype], name === "zstd" ? rawLength / 1024 : 0);
      found.push([`${what} in planes of ${dtype}`, dtype, stored, rawLength]);
    }
  }
  return found;
}

/** Planes as the codecs deflate and zstd store them, each the same stream. */
function inPlanes(stream: Uint8Array, count: number, least: number): Uint8Array {
  const lengths = new Uint8Array(new Uint32Array(count).fill(stream.byteLength).buffer);
  const joined = Buffer.concat([lengths, ...Array.from({ length: count }, () => stream)]);
  const stored = new Uint8Array(Math.max(joined.byteLength, least));
  stored.set(joined);
  return stored;
}

function zlibBombs(): [string, Uint8Array][] {
  // A piece that ends on a byte and refers to nothing before it can be repeated: 62 pieces of 16 MiB in about a MiB.
  const piece = zlib.deflateRawSync(new Uint8Array(16 << 20), {
    level: 9,
    finishFlush: zlib.constants.Z_FULL_FLUSH,
  });
  const begin = Uint8Array.of(0x78, 0xda);
  const repeated = (bytes: Uint8Array, count: number): Uint8Array =>
    new Uint8Array(Buffer.concat([begin, ...Array.from({ length: count }, () => bytes)]));
  // A stored block of no bytes: five bytes of input, and no output at all.
  const empty = Uint8Array.of(0, 0, 0, 0xff, 0xff);
  const member = new Uint8Array(zlib.deflateSync(new Uint8Array(1 << 20), { level: 9 }));
  const inner = new Uint8Array(zlib.deflateSync(member, { level: 9 }));
  return [
    [CONTROL, member],
    ["a GiB of zeros", repeated(piece, 62)],
    ["empty blocks without end", repeated(empty, 200_000)],
    ["empty blocks, then zeros", new Uint8Array(Buffer.concat([repeated(empty, 100_000), piece]))],
    ["two members of a MiB", new Uint8Array(Buffer.concat([member, member]))],
    ["a stream in a stream", inner],
    ["a MiB and one byte", new Uint8Array(zlib.deflateSync(new Uint8Array((1 << 20) + 1), { level: 9 }))],
    ["a MiB less one byte", new Uint8Array(zlib.deflateSync(new Uint8Array((1 << 20) - 1), { level: 9 }))],
    ["a preset dictionary", Uint8Array.of(0x78, 0xf9, 0, 0, 0, 1, ...member.subarray(2))],
  ];
}

/** Zstandard frames by hand (RFC 8878): blocks of 4 bytes that stand for 128 KiB each, and headers that lie. */
function zstdBombs(): [string, Uint8Array][] {
  const magic = [0x28, 0xb5, 0x2f, 0xfd];
  const block = (type: number, size: number, isLast = false): number[] => {
    const head = Number(isLast) | type << 1 | size << 3;
    return [head & 255, head >> 8 & 255, head >> 16, ...type === 1 ? [0] : []];
  };
  const frame = (header: number[], blocks: number[][]): Uint8Array =>
    new Uint8Array(Buffer.concat([magic, header, blocks.flat()].map((part) => Uint8Array.from(part))));
  const [RAW, RUN, RESERVED] = [0, 1, 3];
  const times = (count: number, piece: number[]): number[][] => Array.from({ length: count }, () => piece);
  const run = block(RUN, 128 << 10);
  const last = block(RUN, 128 << 10, true);
  const mib = [...new Uint8Array(BigUint64Array.of(1n << 20n).buffer)];
  const window = [0xc0, 0x58, ...mib];
  const size = (bytes: bigint): number[] => [0xe0, ...new Uint8Array(BigUint64Array.of(bytes).buffer)];
  const good = frame(window, [...times(7, run), last]);
  const skippable = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
  return [
    [CONTROL, good],
    ["ten GiB of runs", frame(window, [...times(81_919, run), last])],
    ["runs without a last block", frame(window, [...times(80_000, run)])],
    ["ten GiB that the frame declares", frame(size(10n << 30n), [...times(81_919, run), last])],
    ["a declared size of 2^64 - 1", frame(size(2n ** 64n - 1n), [last])],
    ["a declared MiB and ten GiB of runs", frame(size(1n << 20n), [...times(81_919, run), last])],
    ["a declared MiB and one block", frame(size(1n << 20n), [last])],
    ["a window of 3.75 TiB", frame([0xc0, 0xff, ...mib], [...times(7, run), last])],
    ["empty blocks without end", frame(window, [...times(200_000, block(RAW, 0))])],
    ["no declared size", frame([0x00, 0x58], [...times(7, run), last])],
    ["a reserved block", frame(window, [block(RESERVED, 0, true)])],
    ["two frames of a MiB", new Uint8Array(Buffer.concat([good, good]))],
    ["a frame and a byte", new Uint8Array(Buffer.concat([good, Uint8Array.of(0)]))],
    ["a hundred thousand skippable frames", Uint8Array.from(times(100_000, skippable).flat())],
    ["a dictionary", frame([0xc3, 0x58, 1, 0, 0, 0, ...mib], [...times(7, run), last])],
  ];
}
