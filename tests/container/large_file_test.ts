import { expect, test } from "bun:test";
import { CairnError } from "../../src/base/errors.ts";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { bytesSource } from "../../src/container/source.ts";
import { writeContainer } from "../../src/container/write/write_container.ts";
import { asBytes, FILE_ID, manifestOf, randomNumbers } from "./samples.ts";

const FLIPS = 20_000;
const SEED = 7;

/** 32 MiB that compress in part, made quickly. */
function largeTensor(): Uint8Array {
  const words = new Uint32Array(8 << 20);
  for (let i = 0; i < words.length; i++) words[i] = (Math.imul(i, 2654435761) >>> 9) | 0x3c000000;
  return asBytes(words);
}

/** Whether the file is refused: by open, or by the chunk whose stored bytes the flip at `offset` hits. */
async function isRefused(file: Uint8Array, opened: ContainerReader, offset: number): Promise<boolean> {
  try {
    const hit = opened.chunks.find(({ storedOffset, storedLength }) =>
      storedOffset <= offset && offset < Math.ceil((storedOffset + storedLength) / 64) * 64
    );
    const reader = await ContainerReader.open(bytesSource(file));
    if (hit !== undefined) await reader.readRange(hit.rawOffset, hit.rawLength);
    return false;
  } catch (error) {
    if (error instanceof CairnError) return true;
    throw error;
  }
}

for (const codec of ["raw", "deflate"] as const) {
  test(`sampled flips all over a large file of the codec ${codec} are all noticed (E3)`, async () => {
    const file = await writeContainer({
      tensors: [{ spec: { name: "large", dtype: "f32", shape: [8 << 20] }, bytes: largeTensor() }],
      manifest: manifestOf({ seed: SEED }),
      fileId: FILE_ID,
      chunkBytes: 64 << 10,
      codec,
    });
    const opened = await ContainerReader.open(bytesSource(file));
    expect(opened.chunks[0]?.codec.name).toBe(codec);
    const next = randomNumbers(SEED);
    const tailBytes = 16 << 10;
    for (let run = 0; run < FLIPS / 2; run++) {
      // Every tenth one in the tables, which would hardly be hit otherwise.
      const offset = run % 10 === 0
        ? file.byteLength - 1 - Math.floor(next() * tailBytes)
        : Math.floor(next() * file.byteLength);
      const byte = file[offset] as number;
      file[offset] = byte ^ (1 << Math.floor(next() * 8));
      if (!await isRefused(file, opened, offset)) {
        throw new Error(`a flip in byte ${offset} passed, seed ${SEED}`);
      }
      file[offset] = byte;
    }
    expect((await opened.verify()).ok).toBe(true);
  }, 600_000);
}
