import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FileEngine } from "../../src/checkpoint/engine/file_engine.ts";
import type { CodecName } from "../../src/container/codec/table.ts";
import type { Provenance } from "../../src/container/format/manifest.ts";
import type { StateValue } from "../../src/container/format/state_tree.ts";
import { writeContainer } from "../../src/container/write/write_container.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { counterRandom } from "../checkpoint/fixtures.ts";

/** What a sample has besides tensors. */
export interface Sample {
  readonly tensors: Readonly<Record<string, HostTensor>>;
  readonly aliases?: Readonly<Record<string, string>>;
  readonly state?: StateValue;
  readonly metrics?: Record<string, number>;
  readonly provenance?: Provenance;
  readonly codec?: CodecName;
}

/** A run id that is easy to tell. */
export const RUN = "0123456789abcdef0123456789abcdef";

/** Numbers from -1 to 1 that are the same everywhere. */
export function wave(count: number, shift = 0): Float32Array {
  return Float32Array.from({ length: count }, (_, at) => ((at * 37 + shift) % 101) / 50 - 1);
}

/** A small model with a state, as `sampleBytes` takes it. */
export function modelSample(shift = 0): Sample {
  return {
    tensors: {
      "model.0.weight": HostTensor.from(wave(64 * 32, shift), [64, 32]),
      "model.0.bias": HostTensor.from(new Float32Array(32), [32]),
      "model.1.scale": HostTensor.from(Float32Array.of(1, NaN, Infinity, 0), [4]),
      "optimizer.step": HostTensor.from(BigInt64Array.of(100n), []),
    },
    aliases: { "model.head": "model.0.weight" },
    state: { epoch: 3, name: "a\u001b[31mred", seen: new Set([1, 2]), loader: { position: 12, seed: 5n } },
    metrics: { loss: 0.25, val_loss: 0.5 },
    provenance: {
      runId: RUN,
      tag: "step-100",
      step: 100,
      epoch: 3,
      createdAt: "2026-01-02T03:04:05.000Z",
      writer: "cairn 0.1.0",
      adapter: "an adapter",
      order: 7,
      savedBy: "auto",
    },
  };
}

/** A `.cairn` file whose bytes are the same everywhere. */
export async function sampleBytes(sample: Sample = modelSample()): Promise<Uint8Array> {
  const { tensors, aliases = {}, state = {}, metrics = {}, provenance = {}, codec = "planes" } = sample;
  return await writeContainer({
    tensors: [
      ...Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => ({
        spec: { name, dtype, shape },
        bytes,
      })),
      ...Object.entries(aliases).map(([name, aliasOf]) => {
        const { dtype, shape } = tensors[aliasOf] as HostTensor;
        return { spec: { name, dtype, shape, aliasOf }, bytes: new Uint8Array(0) };
      }),
    ],
    fileId: new Uint8Array(16).fill(7),
    codec,
    manifest: { kind: "checkpoint", state, metrics, provenance, user: {} },
  });
}

/** Writes a sample into a directory, and says its path. */
export async function writeSample(
  directory: string,
  name: string,
  sample: Sample = modelSample(),
): Promise<string> {
  const path = join(directory, name);
  await mkdir(directory, { recursive: true });
  await writeFile(path, await sampleBytes(sample));
  return path;
}

/** A byte of the file, turned round. */
export function withDamage(bytes: Uint8Array, offset: number): Uint8Array {
  const copy = bytes.slice();
  copy[offset] = (copy[offset] ?? 0) ^ 0xff;
  return copy;
}

/** What is saved into a run: its tag, which is its step, and a loss. */
export interface SavedStep {
  readonly step: number;
  readonly loss: number;
  readonly savedBy?: "auto" | "user";
}

/**
 * A run of a process: it goes on from the checkpoint `from`, where that is given, and saves these steps. Its clock goes
 * on by a minute a look, so that all is the same every time.
 */
export async function saveRun(
  directory: string,
  steps: readonly SavedStep[],
  { from, runId = RUN, seed = 1 }: { from?: string; runId?: string; seed?: number } = {},
): Promise<void> {
  let nowMs = Date.UTC(2026, 0, 2, 3, seed);
  const now = (): number => nowMs += 60_000;
  const engine = await FileEngine.open(directory, {
    runId,
    random: counterRandom(seed),
    now,
    codec: "planes",
  });
  const parent = from === undefined ? undefined : await fileIdOf(engine, from);
  for (const { step, loss, savedBy = "auto" } of steps) {
    await engine.create(step);
    await engine.save({
      state: { epoch: Math.ceil(step / 100), weights: wave(256, step) },
      metrics: { loss },
      provenance: { step, epoch: Math.ceil(step / 100), savedBy, ...parent === undefined ? {} : { parent } },
    });
    await engine.commit(String(step));
  }
  await engine.cleanup();
}

async function fileIdOf(engine: FileEngine, tag: string): Promise<string> {
  const checkpoint = await engine.load(tag);
  await checkpoint.close();
  return checkpoint.reader.fileId;
}
