import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { CairnError } from "../../../src/base/errors.ts";
import { ContainerReader } from "../../../src/container/read/container_reader.ts";
import { ContainerWriter } from "../../../src/container/write/container_writer.ts";
import type { TensorSpec } from "../../../src/container/format/layout.ts";
import type { ByteSource } from "../../../src/container/source.ts";
import { FILE_ID, manifestOf, randomNumbers } from "../../container/samples.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { VERDICTS } from "./files.ts";

const SIZE_BYTES = Number(process.env.CAIRN_LARGE_MIB ?? 256) << 20;
const FLIPS = Number(process.env.CAIRN_LARGE_FLIPS ?? 20_000);
const CHUNK_BYTES = 64 << 10;
const TENSORS = 256;

/** Row E3: single-bit flips sampled over all regions of a file too large to try them all. */
export async function largeFile(campaign: Campaign): Promise<void> {
  await campaign.row("E3", `sampled flips in a file of ${SIZE_BYTES >> 20} MiB of raw data`, async (row) => {
    const folder = mkdtempSync(join(tmpdir(), "cairn-faults-"));
    const file = openSync(join(folder, "large.cairn"), "w+");
    try {
      await writeLarge(file);
      await sample(new FlippingSource(file), row);
    } finally {
      closeSync(file);
      rmSync(folder, { recursive: true });
    }
  });
}

/**
 * Weights: a narrow exponent and a mantissa of noise, from one table so that making them is not what takes the time.
 */
async function writeLarge(file: number): Promise<void> {
  const count = SIZE_BYTES / 4 / TENSORS;
  const tensors: TensorSpec[] = Array.from({ length: TENSORS }, (_, i) => ({
    name: `layer.${i}.weight`,
    dtype: "f32",
    shape: [count],
  }));
  const sink = {
    write: (bytes: Uint8Array): Promise<void> => {
      for (let at = 0; at < bytes.byteLength;) at += writeSync(file, bytes, at);
      return Promise.resolve();
    },
  };
  const writer = await ContainerWriter.create(sink, {
    tensors,
    fileId: FILE_ID,
    chunkBytes: CHUNK_BYTES,
    codec: "deflate",
  });
  const next = randomNumbers(11);
  const block = Float32Array.from({ length: count }, () => 0.05 * (next() + next() + next() - 1.5));
  for (let tensor = 0; tensor < TENSORS; tensor++) {
    block.copyWithin(1, 0, count - 1);
    block[0] = tensor;
    await writer.write(new Uint8Array(block.buffer));
  }
  await writer.finish(manifestOf({ step: 1 }));
}

/** A file in which one bit can be flipped for its readers. */
class FlippingSource implements ByteSource {
  readonly byteLength: number;
  readonly #file: number;
  bit: number | undefined;

  constructor(file: number) {
    this.#file = file;
    let length = 0;
    const probe = new Uint8Array(1 << 20);
    for (let count = -1; count !== 0; length += count) {
      count = readSync(file, probe, 0, probe.byteLength, length);
    }
    this.byteLength = length;
  }

  read(offset: number, into: Uint8Array): Promise<void> {
    for (let at = 0; at < into.byteLength;) {
      at += readSync(this.#file, into, at, into.byteLength - at, offset + at);
    }
    const at = this.bit === undefined
      ? -1
      : (this.bit >>> 0) === this.bit
      ? this.bit >>> 3
      : Math.floor(this.bit / 8);
    if (at >= offset && at < offset + into.byteLength) {
      into[at - offset] = (into[at - offset] as number) ^ (1 << ((this.bit as number) % 8));
    }
    return Promise.resolve();
  }
}

interface Region {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly weight: number;
}

async function sample(source: FlippingSource, row: RowRecorder): Promise<void> {
  const sound = await ContainerReader.open(source);
  if (!(await sound.verify()).ok) row.fail("the undamaged file does not verify");
  const last = sound.chunks.at(-1);
  const dataEnd = (last?.storedOffset ?? 0) + (last?.storedLength ?? 0);
  const regions: Region[] = [
    { name: "header", start: 0, end: 64, weight: 1 },
    { name: "padding", start: 64, end: 4096, weight: 1 },
    { name: "chunks", start: 4096, end: dataEnd, weight: 14 },
    {
      name: "tables and manifest",
      start: Math.ceil(dataEnd / 64) * 64,
      end: source.byteLength - 128,
      weight: 2,
    },
    { name: "trailer", start: source.byteLength - 128, end: source.byteLength, weight: 2 },
  ];
  const total = regions.reduce((sum, { weight }) => sum + weight, 0);
  const next = randomNumbers(17);
  const counts: string[] = [];
  for (const { name, start, end, weight } of regions) {
    const flips = Math.round(FLIPS * weight / total);
    for (let flip = 0; flip < flips; flip++) {
      source.bit = (start + Math.floor(next() * (end - start))) * 8 + Math.floor(next() * 8);
      row.point();
      const accepted = name === "chunks" ? await acceptsChunk(sound, source.bit) : await acceptsFile(source);
      if (accepted) row.fail(`bit ${source.bit} in the ${name} was accepted`);
    }
    counts.push(`${name} ${flips}`);
  }
  source.bit = undefined;
  row.note(`${(source.byteLength / 2 ** 20).toFixed(0)} MiB on disk; ${counts.join(", ")}`);
}

/** A flip in the chunks after the file was opened: reading any byte of the chunk has to notice. */
async function acceptsChunk(reader: ContainerReader, bit: number): Promise<boolean> {
  const at = Math.floor(bit / 8);
  let low = 0;
  for (let high = reader.chunks.length - 1; low < high;) {
    const middle = (low + high + 1) >>> 1;
    if ((reader.chunks[middle]?.storedOffset ?? 0) <= at) low = middle;
    else high = middle - 1;
  }
  const { rawOffset = 0 } = reader.chunks[low] ?? {};
  return await reader.readRange(rawOffset, 1).then(() => true, isVerdict);
}

async function acceptsFile(source: FlippingSource): Promise<boolean> {
  return await ContainerReader.open(source).then(() => true, isVerdict);
}

function isVerdict(error: unknown): boolean {
  if (error instanceof CairnError && VERDICTS.has(error.code)) return false;
  throw error;
}
