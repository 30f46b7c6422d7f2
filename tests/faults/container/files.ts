import { CairnError } from "../../../src/base/errors.ts";
import { codecById } from "../../../src/container/codec/table.ts";
import type { CodecName } from "../../../src/container/codec/table.ts";
import { ContainerReader } from "../../../src/container/read/container_reader.ts";
import { bytesSource } from "../../../src/container/source.ts";
import { writeContainer } from "../../../src/container/write/write_container.ts";
import { asBytes, FILE_ID, randomNumbers, sampleManifest, type Tensor } from "../../container/samples.ts";

/** Every codec that the table has a number for: a new one joins all campaigns by being there. */
export const CODECS: readonly CodecName[] = Array.from({ length: 256 }, (_, id) => codecById(id)?.name)
  .filter((name): name is CodecName => name !== undefined);

/** What open() may say about a file that is not what a writer wrote. */
export const VERDICTS: ReadonlySet<string> = new Set([
  "not_a_container",
  "truncated",
  "invalid_container",
  "checksum_mismatch",
  "unsupported",
  "limit_exceeded",
]);

const CHUNK_SIZES = [256, 512, 1024, 2048, 4096];

/** A file of a few KiB, and what is in it. */
export interface SmallFile {
  readonly codec: CodecName;
  readonly bytes: Uint8Array;
  readonly tensors: ReadonlyMap<string, Uint8Array>;
}

function tensorsFor(chunkBytes: number, seed: number): Tensor[] {
  const next = randomNumbers(seed);
  const count = chunkBytes / 4;
  const weight = Float32Array.from({ length: count }, () => 0.05 * (next() - 0.5));
  const ids = Int32Array.from({ length: 64 }, (_, i) => i >> 2);
  return [
    { spec: { name: "weight", dtype: "f32", shape: [count / 8, 8] }, bytes: asBytes(weight) },
    { spec: { name: "empty", dtype: "f32", shape: [0, 4] }, bytes: new Uint8Array(0) },
    { spec: { name: "ids", dtype: "i32", shape: [64] }, bytes: asBytes(ids) },
    { spec: { name: "step", dtype: "i64", shape: [] }, bytes: asBytes(BigInt64Array.of(-42n)) },
    {
      spec: { name: "tied", dtype: "f32", shape: [count / 8, 8], aliasOf: "weight" },
      bytes: new Uint8Array(0),
    },
  ];
}

/**
 * The smallest sample in which this codec has a chunk, because a codec that does not pay is stored raw.
 *
 * @param generation Another one gives a file of other bytes, as the checkpoint before.
 */
export async function smallFile(codec: CodecName, generation = 0): Promise<SmallFile> {
  for (const chunkBytes of CHUNK_SIZES) {
    const tensors = tensorsFor(chunkBytes, 7 + generation);
    const fileId = FILE_ID.map((byte) => byte ^ generation);
    const bytes = await writeContainer({ tensors, manifest: sampleManifest(), fileId, codec, chunkBytes });
    const { chunks } = await ContainerReader.open(bytesSource(bytes));
    if (!chunks.some((chunk) => chunk.codec.name === codec)) continue;
    const contents = new Map(tensors.map(({ spec, bytes }) => [spec.name, bytes]));
    contents.set("tied", contents.get("weight") ?? new Uint8Array(0));
    return { codec, bytes, tensors: contents };
  }
  throw new Error(`No small sample makes the codec ${codec} worthwhile`);
}

/**
 * What a reader makes of the bytes: the code that open() gave, "damaged" where a chunk is, or "accepted".
 *
 * @throws for anything else: another kind of error, or a tensor that reads although it is damaged or reads wrong bytes.
 */
export async function verdictOf(
  bytes: Uint8Array,
  tensors: ReadonlyMap<string, Uint8Array>,
): Promise<string> {
  let reader: ContainerReader;
  try {
    reader = await ContainerReader.open(bytesSource(bytes));
  } catch (error) {
    if (error instanceof CairnError && VERDICTS.has(error.code)) return error.code;
    throw error;
  }
  const { ok, damaged } = await reader.verify();
  if (ok) return "accepted";
  const spoilt = new Set(damaged.flatMap((damage) => damage.tensors));
  for (const [name, expected] of tensors) {
    const found = await reader.read(name).catch((error: unknown) => {
      if (error instanceof CairnError && spoilt.has(name)) return undefined;
      throw error;
    });
    if (found === undefined) continue;
    if (spoilt.has(name)) throw new Error(`"${name}" is said to be damaged, but reads`);
    if (Buffer.compare(found, expected) !== 0) throw new Error(`"${name}" reads wrong bytes`);
  }
  return "damaged";
}
