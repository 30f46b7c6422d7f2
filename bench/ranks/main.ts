/**
 * What it costs to share a batch out. `npm run bench -- ranks` runs it.
 *
 * A step of a network of four layers on a batch of 256 examples, computed here in 8 shards, against the same batch in 8
 * micro-batches (what the fixed order of the sum costs) and in one piece (what the parts cost); then the memory on the
 * host that two ranks take to exchange the gradients of 64 MiB, above those gradients themselves; and over each MPI
 * that is there, how long two ranks take to add up 64 MiB, against MPI_Allreduce, and hold their threads. Rounds are
 * interleaved, and all results are compared. The last line is JSON. Options: `--rounds=9`, `--provider=dawn`.
 */
import process from "node:process";
import { DataLoader, HostTensor, nn, optim, TensorStore, Trainer } from "../../mod.ts";
import { ProcessGroup } from "../../src/checkpoint/ranks/process_group.ts";
import { BufferUsage } from "../../src/gpu/constants.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { mostOpenSums } from "../../src/parallel/open_sums.ts";
import { ShardReduction } from "../../src/parallel/shard_reduction.ts";
import { interleavedWithCpu, median, ratioOf } from "../interleaved.ts";
import { numbers } from "../peers/contender.mjs";
import { option, providerOption } from "../train/single_steps.ts";
import { mpiRows } from "./mpi_row.ts";

const [BATCH, SHARDS, FEATURES, WIDTH, CLASSES] = [256, 8, 256, 512, 10];
const STEPS = 4;
const MOST = { step: 1.1, memoryMiB: 64 } as const;
const GRADIENT_BYTES = 64 * 1024 * 1024;
const MIB = 1024 * 1024;

const rounds = Number(option("rounds") ?? 9);
const gpu = await GpuDevice.open(providerOption());
const steps = await stepRow();
const memory = await memoryRow();
const reductions = await mpiRows();
for (
  const line of [
    `a step in ${SHARDS} shards: ${steps.ms.toFixed(1)} ms | ${steps.pieces.toFixed(3)}x that in ${SHARDS} ` +
    `micro-batches (of the processor ${steps.piecesCpu.toFixed(3)}x), ${
      steps.whole.toFixed(3)
    }x that of the batch in ` +
    `one piece | <= ${MOST.step}: ${steps.isHeld ? "held" : "MISSED"}`,
    `two ranks exchange ${memory.gradientMiB} MiB each: ${memory.ms.toFixed(0)} ms, ${
      memory.aboveMiB.toFixed(0)
    } MiB of ` +
    `memory at the most on both | <= ${MOST.memoryMiB} each: ${memory.isHeld ? "held" : "MISSED"}`,
  ]
) console.log(line);
console.log(JSON.stringify({
  bench: "ranks",
  runtime: navigator.userAgent,
  adapter: gpu.adapterName,
  provider: gpu.provider,
  rounds,
  steps,
  memory,
  reductions,
  isHeld: steps.isHeld && memory.isHeld && reductions.every(({ isHeld }) => isHeld),
}));
process.exit(0);

async function stepRow() {
  const made = [
    ["shards", { parallel: { shards: SHARDS } }],
    ["pieces", { microBatchSize: BATCH / SHARDS }],
    ["whole", {}],
  ] as const;
  const trainers = await Promise.all(made.map(async ([name, options]) => {
    const store = TensorStore.on(gpu);
    const trainer = new Trainer(store, { ...network(), ...options });
    await trainer.train({ steps: 1, progress: false });
    return { name, trainer, store };
  }));
  const first = trainers[0];
  if (first === undefined) throw new Error("nothing is measured");
  const measured = await interleavedWithCpu(
    trainers.map(({ name, trainer, store }) => ({
      name,
      run: async () => {
        await trainer.train({ steps: trainer.step + STEPS, progress: false });
        await gpu.idle();
      },
      check: async () => {
        if (name !== "shards") {
          requireNear(
            await weightsOf(store),
            await weightsOf(first.store),
            name,
            trainer.step === first.trainer.step,
          );
        }
      },
    })),
    rounds,
  );
  const of = (name: string) => measured.get(name) ?? { ms: [], cpuMs: [] };
  const [shards, pieces, whole] = [of("shards"), of("pieces"), of("whole")];
  const ratio = ratioOf(shards.ms, pieces.ms);
  return {
    ms: median(shards.ms) / STEPS,
    pieces: ratio.measured,
    spread: ratio.spread,
    piecesCpu: ratioOf(shards.cpuMs, pieces.cpuMs).measured,
    whole: ratioOf(shards.ms, whole.ms).measured,
    isHeld: ratio.measured <= MOST.step,
  };
}

function network() {
  const examples = BATCH * 4;
  return {
    model: nn.sequential(
      nn.linear(FEATURES, WIDTH),
      nn.relu(),
      nn.linear(WIDTH, WIDTH),
      nn.relu(),
      nn.linear(WIDTH, WIDTH),
      nn.relu(),
      nn.linear(WIDTH, CLASSES),
    ),
    loss: nn.crossEntropy(),
    optimizer: optim.sgd({ learningRate: 0.01 }),
    data: DataLoader.from({
      inputs: HostTensor.from(numbers(examples * FEATURES, 1), [examples, FEATURES]),
      labels: HostTensor.from(Uint32Array.from({ length: examples }, (_, row) => row % CLASSES), [examples]),
    }, { batchSize: BATCH }),
    seed: 1,
  };
}

async function weightsOf(store: TensorStore): Promise<Float32Array> {
  const tensor = (await store.read(["model.6.weight"])).get("model.6.weight");
  return tensor?.toArray() as Float32Array;
}

function requireNear(found: Float32Array, expected: Float32Array, name: string, isSameStep: boolean): void {
  if (!isSameStep) return;
  const far = found.findIndex((value, index) => !(Math.abs(value - (expected[index] ?? NaN)) < 1e-4));
  if (far >= 0) throw new Error(`${name}: weight ${far} is ${found[far]}, in shards ${expected[far]}`);
}

/** Two ranks in this process exchange gradients; the most memory that it has above what it had after the first time. */
async function memoryRow() {
  const storage = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
  const ranks = await Promise.all(
    ProcessGroup.inMemory(2).map(async (group) => {
      const allocate = () => {
        const buffer = gpu.createBuffer("gradients", GRADIENT_BYTES, storage);
        return [{ range: { buffer, offset: 0, size: GRADIENT_BYTES } }];
      };
      const memory = { leaf: allocate(), slots: Array.from({ length: mostOpenSums(0, 4) }, allocate) };
      return { reduction: await ShardReduction.compile(gpu, { group, shards: SHARDS }, memory) };
    }),
  );
  const exchange = async (): Promise<void> => {
    await Promise.all(
      ranks.map(({ reduction }) => reduction.sum(SHARDS, [0, 1, 2, 3], () => {}, new Uint8Array(8))),
    );
  };
  await exchange();
  const before = process.memoryUsage().rss;
  let most = 0;
  const watch = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss - before);
  }, 1);
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    await exchange();
    times.push(performance.now() - start);
  }
  clearInterval(watch);
  const aboveMiB = most / MIB;
  return {
    gradientMiB: GRADIENT_BYTES / MIB,
    ms: median(times),
    aboveMiB,
    isHeld: aboveMiB / 2 <= MOST.memoryMiB,
  };
}
