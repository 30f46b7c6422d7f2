import type { CompressionMode } from "../../src/container/codec/choose.ts";
import { Snapshot } from "../../src/checkpoint/snapshot.ts";
import * as nn from "../../src/nn/nn.ts";
import * as optim from "../../src/nn/optim/optim.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import type { BatchSource } from "../../src/data/batch_source.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { cpuMs } from "../../tests/helpers/cpu_time.ts";

const SAVE_EVERY = 20;
const WIDTH = 768;
const FIRST_BATCH = 16;
const LARGEST_BATCH = 2048;
/**
 * So much longer than a save on its own is what 20 steps take, or else the next save would have to wait for the one
 * before. Steps of all of GPT-2 take far longer.
 */
const ROOM = 3;
/** And so much at most, so that a run ends before long on a busy machine. */
const LONGEST_BLOCK_MS = 3000;

/** One block of 20 steps, with a save at its start or without. */
export interface Block {
  readonly wallMs: number;
  /**
   * Of the process, and of others that a save keeps busy: training and save together, and on a software adapter the
   * GPU's work too.
   */
  readonly cpuMs: number;
  /** How long the block's save took, the training beside it. */
  readonly saveMs?: number;
}

/** What is done at the start of a block: nothing, or a save in a mode. */
export type BlockKind = "none" | CompressionMode;

/** Blocks by kind, round by round. */
export type Blocks = ReadonlyMap<BlockKind, readonly Block[]>;

/** What {@link trainWithSaves} needs. */
export interface TrainingOptions {
  /** The trained network's tensors are added to it, and saved with all the rest. */
  readonly store: TensorStore;
  readonly directoryOf: (mode: CompressionMode) => string;
  readonly modes: readonly CompressionMode[];
  readonly rounds: number;
  /** About how long a save takes, on its own. */
  readonly saveMs: number;
  /** How long a block is at most. Default 3000. */
  readonly longestBlockMs?: number;
  /** CPU time of other processes that a save keeps busy. None unless given. */
  readonly otherCpuMs?: () => number;
  /** Given the file of each save; not timed. */
  readonly check: (path: string) => Promise<void>;
}

/**
 * Trains the MLP of a GPT-2 block (768-3072-768) with AdamW in blocks of 20 steps, each kind of block once a round
 * and in turns first. A block begins and ends with an idle GPU, and no save is under way at its end: what a save
 * still has to do when its 20 steps are over counts as lost.
 */
export async function trainWithSaves(
  options: TrainingOptions,
): Promise<{ blocks: Blocks; batchSize: number }> {
  const { store, modes, rounds, otherCpuMs = () => 0 } = options;
  const usedMs = (): number => cpuMs() + otherCpuMs();
  const longestMs = options.longestBlockMs ?? LONGEST_BLOCK_MS;
  const batchSize = await batchSizeFor(store, Math.min(longestMs, ROOM * options.saveMs));
  const trainer = trainerOn(store, batchSize);
  const snapshots = new Map(
    modes.map((mode) => [mode, new Snapshot(options.directoryOf(mode), { store }, { mode })]),
  );
  const kinds: BlockKind[] = ["none", ...modes];
  const order = Array.from(
    { length: rounds + 1 },
    (_, round) => round % 2 === 0 ? kinds : [...kinds].reverse(),
  ).flat();
  const blocks = new Map(kinds.map((kind) => [kind, [] as Block[]]));
  const done = new AbortController();
  let running: { kind: BlockKind; wall: number; cpu: number; saveMs?: Promise<number> } | undefined;
  const endBlock = async (): Promise<void> => {
    if (running === undefined) return;
    const { kind, wall, cpu } = running;
    const snapshot = kind === "none" ? undefined : snapshots.get(kind);
    await store.gpu.idle();
    const report = await snapshot?.pending?.wait();
    const used = { wallMs: performance.now() - wall, cpuMs: usedMs() - cpu };
    const { saveMs } = running;
    blocks.get(kind)?.push(saveMs === undefined ? used : { ...used, saveMs: await saveMs });
    if (report !== undefined) await options.check(report.path);
  };
  const beginBlock = async (kind: BlockKind, step: number): Promise<void> => {
    const start = performance.now();
    running = { kind, wall: start, cpu: usedMs() };
    const pending = kind === "none" ? undefined : await snapshots.get(kind)?.save(step);
    if (pending !== undefined) running.saveMs = pending.settled().then(() => performance.now() - start);
  };
  const onStep = async ({ step }: { step: number }): Promise<void> => {
    if (step % SAVE_EVERY !== 0) return;
    await endBlock();
    const kind = order.shift();
    if (kind === undefined) done.abort();
    else await beginBlock(kind, step);
  };
  try {
    await trainer.train({ epochs: 1, progress: false, signal: done.signal, onStep }).catch((error) => {
      if (!done.signal.aborted) throw error;
    });
  } finally {
    for (const snapshot of snapshots.values()) await snapshot.close();
    await trainer.close();
  }
  // The first round of all only warms up.
  return { blocks: new Map([...blocks].map(([kind, all]) => [kind, all.slice(1)])), batchSize };
}

/**
 * Part of the training's throughput that a save every 20 steps costs, beyond the CPU time that the save itself uses:
 * (wall with - wall without - (CPU with - CPU without)) / wall without, for the two blocks of each round. Where the
 * GPU is the CPU there is no idle engine to hide a save in, so that its CPU time is bound to be missing elsewhere.
 */
export function lossesBeyondCpu(withSaves: readonly Block[], without: readonly Block[]): number[] {
  return withSaves.map((block, round) => {
    const bare = without[round] ?? { wallMs: NaN, cpuMs: NaN };
    return (block.wallMs - bare.wallMs - (block.cpuMs - bare.cpuMs)) / bare.wallMs;
  });
}

/** The batch with which 20 steps take at least so many milliseconds, by a trial on a store of its own. */
async function batchSizeFor(store: TensorStore, blockMs: number): Promise<number> {
  const trial = TensorStore.on(store.gpu);
  const trainer = trainerOn(trial, FIRST_BATCH);
  const stop = new AbortController();
  const times: number[] = [];
  try {
    await trainer.train({
      epochs: 1,
      progress: false,
      signal: stop.signal,
      onStep: async ({ step }) => {
        if (step % 5 !== 0) return;
        await store.gpu.idle();
        times.push(performance.now());
        if (times.length === 4) stop.abort();
      },
    }).catch((error) => {
      if (!stop.signal.aborted) throw error;
    });
  } finally {
    await trainer.close();
    await trial.close();
  }
  // The first steps compile.
  const stepMs = ((times[3] ?? NaN) - (times[1] ?? NaN)) / 10;
  const factor = Math.max(1, blockMs / (SAVE_EVERY * stepMs));
  return Math.min(LARGEST_BATCH, Math.ceil(FIRST_BATCH * factor / 8) * 8);
}

function trainerOn(store: TensorStore, batchSize: number): Trainer {
  return new Trainer(store, {
    model: nn.sequential(nn.linear(WIDTH, 4 * WIDTH), nn.relu(), nn.linear(4 * WIDTH, WIDTH)),
    loss: nn.crossEntropy(),
    optimizer: optim.adamw({ learningRate: 1e-3 }),
    data: endlessBatches(batchSize),
    seed: 1,
  });
}

/** A few batches of noise, again and again, in an epoch that does not end. */
function endlessBatches(batchSize: number): BatchSource {
  const batches = Array.from({ length: 4 }, (_, batch) => ({
    inputs: Float32Array.from(
      { length: batchSize * WIDTH },
      (_, i) => Math.sin((batch + 1) * (i + 1) * 12.9898),
    ),
    labels: Uint32Array.from({ length: batchSize }, (_, i) => (i * 7919 + batch) % WIDTH),
  }));
  return {
    batchSize,
    exampleCount: batchSize * 1_000_000,
    inputs: { dtype: "f32", shape: [WIDTH] },
    labels: { dtype: "u32", shape: [] },
    batchAt: ({ position }) =>
      batches[position % batches.length] ?? { inputs: new Float32Array(), labels: new Uint32Array() },
  };
}
