import { crc32 } from "../../src/base/crc32/crc32.ts";
import { codecByName } from "../../src/container/codec/table.ts";
import { ReadbackRing } from "../../src/gpu/readback.ts";
import type { BenchState } from "./state.ts";
import { raced, rate } from "./figures.ts";

const CHUNK_BYTES = 1 << 20;

/** Prints how fast each stage of a save or load is on its own, one after the other in one thread. */
export async function printStages(state: BenchState, rounds: number): Promise<void> {
  const { bytes, store: { gpu } } = state;
  const ring = new ReadbackRing(gpu);
  const ranges = state.slabs().map(({ buffer, byteLength }) => ({ buffer, offset: 0, size: byteLength }));
  const planes = codecByName("planes");
  const chunks = Array.from(
    { length: Math.ceil(bytes.byteLength / CHUNK_BYTES) },
    (_, index) => bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES),
  );
  const stored = chunks.map((chunk) => planes.encode(chunk, "f32") ?? chunk);
  const storedBytes = stored.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const host = new Uint8Array(ring.slotBytes);
  const eachPiece = async (use: (piece: Uint8Array) => void): Promise<void> => {
    for await (const piece of ring.stream(ranges)) use(piece);
  };
  const eachChunk = (use: (chunk: Uint8Array, index: number) => void) => (): void => chunks.forEach(use);
  const stages: Record<string, () => void | Promise<void>> = {
    "read back, no look at the bytes": () => eachPiece(() => {}),
    "read back and copy to the host": () => eachPiece((piece) => host.set(piece)),
    "copy in host memory": eachChunk((chunk) => host.set(chunk)),
    "CRC of the raw bytes": eachChunk((chunk) => void crc32(chunk)),
    "encode (planes)": eachChunk((chunk) => void planes.encode(chunk, "f32")),
    "decode (planes)": eachChunk((chunk, index) => {
      const from = stored[index] ?? chunk;
      if (from !== chunk) planes.decode(from, chunk.byteLength, "f32");
    }),
  };
  const contenders = Object.entries(stages).map(([name, run]) => ({ name, run, check: () => {} }));
  const times = await raced(contenders, Math.min(3, rounds));
  ring.close();
  for (const [name, timed] of times) console.log(`  ${name.padEnd(42)} ${rate(bytes.byteLength, timed)}`);
  console.log(`  ${"planes makes it smaller by".padEnd(42)} ${(bytes.byteLength / storedBytes).toFixed(3)}x`);
}
