// One of two ranks that mpiexec starts for `mpi_row.ts`. Rank 0 prints what was measured as one line of JSON.
import process from "node:process";
import type { BufferRange } from "../../src/gpu/buffer_range.ts";
import { BufferUsage } from "../../src/gpu/constants.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { MpiGroup } from "../../src/mpi/mpi_group.ts";
import { ShardReduction } from "../../src/parallel/shard_reduction.ts";
import { eventLoopBlocks } from "../checkpoint/event_loop.ts";
import { quantile } from "../checkpoint/figures.ts";
import { interleaved, median, ratioOf } from "../interleaved.ts";
import { numbers } from "../peers/contender.mjs";
import { option, providerOption } from "../train/single_steps.ts";
import { openAllreduce } from "./allreduce.ts";

/** What two ranks measure together. */
export interface RankFigures {
  /** Of the library. */
  readonly version: string;
  readonly provider: string;
  /** Of the reduction, from the GPU to the GPU. */
  readonly ms: number;
  /** That against MPI_Allreduce with the same way from the GPU and back. */
  readonly ratio: number;
  readonly spread: number;
  /** And against MPI_Allreduce alone, of what is on the host already. */
  readonly bare: number;
  /** How long the event loop was held, at most, 99 times of 100. */
  readonly heldMs: number;
  /** The same by fences of the GPU alone. */
  readonly fenceMs: number;
}

const BYTES = 64 * 1024 * 1024;
const STORAGE = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
const rounds = Number(option("rounds") ?? 9);

const group = await MpiGroup.open({ timeoutMs: 600_000 });
const { rank } = group;
const gpu = await GpuDevice.open(providerOption());
const allreduce = openAllreduce();
/** What both ranks have, before and after. */
const [first, second] = [numbers(BYTES / 4, 1), numbers(BYTES / 4, 2)];
const own = rank === 0 ? first : second;
const expected = first.map((value, index) => value + (second[index] ?? NaN));
const received = new Float32Array(BYTES / 4);

const rangeOf = (label: string): BufferRange => {
  return { buffer: gpu.createBuffer(label, BYTES, STORAGE), offset: 0, size: BYTES };
};
const [gradients, sum] = [rangeOf("gradients"), rangeOf("sum")];
const reduction = await ShardReduction.compile(
  gpu,
  { group, shards: 2 },
  { leaf: [{ range: gradients }], slots: [[{ range: sum }]] },
);
gpu.write(gradients.buffer, 0, new Uint8Array(own.buffer));

const times = await measure();
const heldMs = await held(reduce);
const fenceMs = await held(fence);
if (rank === 0) {
  const of = (name: string) => times.get(name) ?? [];
  const ratio = ratioOf(of("cairn"), of("with the GPU"));
  const figures: RankFigures = {
    version: group.version.split("\n")[0] ?? "",
    provider: gpu.provider,
    ms: median(of("cairn")),
    ratio: ratio.measured,
    spread: ratio.spread,
    bare: ratioOf(of("cairn"), of("bare")).measured,
    heldMs,
    fenceMs,
  };
  console.log(`RESULT ${JSON.stringify(figures)}`);
}
await group.close();
process.exit(0);

/** Ours, MPI_Allreduce between the same buffers of the GPU, and MPI_Allreduce alone, in turns. */
async function measure(): Promise<Map<string, readonly number[]>> {
  // Both ranks begin together, whatever each did before.
  const prepare = (): Promise<void> => group.barrier();
  return await interleaved([
    { name: "cairn", prepare, run: reduce, check: requireSumOnGpu },
    {
      name: "with the GPU",
      prepare,
      run: () => readAndWrite((bytes) => allreduce(new Float32Array(bytes.buffer), received)),
      check: requireSumOnGpu,
    },
    { name: "bare", prepare, run: () => allreduce(own, received), check: () => requireSum(received) },
  ], rounds);
}

async function reduce(): Promise<void> {
  await reduction.sum(2, [rank], () => {}, new Uint8Array(8));
  await gpu.idle();
}

/** Reads the gradients from the GPU, and writes what was received. */
async function readAndWrite(between: (bytes: Uint8Array<ArrayBuffer>) => void): Promise<void> {
  const [bytes = new Uint8Array()] = await gpu.read([gradients]);
  between(bytes);
  gpu.write(sum.buffer, 0, new Uint8Array(received.buffer));
  await gpu.idle();
}

/** As often as the reduction has pieces: a copy on the GPU that is waited for. */
async function fence(): Promise<void> {
  for (let piece = 0; piece < 8; piece++) {
    const encoder = gpu.device.createCommandEncoder({ label: "copy of a piece" });
    encoder.copyBufferToBuffer(gradients.buffer, 0, sum.buffer, 0, BYTES / 8);
    gpu.submit(encoder);
    await gpu.idle();
  }
}

async function requireSumOnGpu(): Promise<void> {
  const [bytes = new Uint8Array()] = await gpu.read([sum]);
  requireSum(new Float32Array(bytes.buffer));
  // What is not written by the next one is seen.
  gpu.write(sum.buffer, 0, new Uint8Array(BYTES));
  received.fill(0);
}

function requireSum(found: Float32Array): void {
  const wrong = expected.findIndex((value, index) => value !== found[index]);
  if (wrong >= 0) throw new Error(`number ${wrong} is ${found[wrong]}, expected ${expected[wrong]}`);
}

/** How long `work` holds the event loop, at most, 99 times of 100. */
async function held(work: () => Promise<void>): Promise<number> {
  const samples: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await group.barrier();
    samples.push(...await eventLoopBlocks(work));
  }
  return quantile(samples, 0.99);
}
