/**
 * What does a step make, and how much memory does it take? `npm run bench -- train` runs it.
 *
 * Dispatches of the step of the MLP 784-256-128-10 (batch 64, Adam), with the variants for this adapter and with those
 * for GPUs, beside jax-js and TensorFlow.js, counted at the calls. Buffers, bind groups and pipelines that steps make
 * when they are under way, and their submits. GPU memory by the least that there could be: the store's tensors, the
 * gradients, and what no plan for the same kernels takes less than. The last line is JSON. Options: `--provider=dawn`.
 */
import process from "node:process";
import { BufferUsage } from "../../src/gpu/constants.ts";
import { type GpuCounters, GpuDevice } from "../../src/gpu/gpu_device.ts";
import type { TrainingJob } from "./jobs.ts";
import { type ContenderName, Peer } from "./peer.ts";
import { jobOf, option, providerOption, singleSteps } from "./single_steps.ts";

const STEPS = 20;
/** Of a peer's dispatches, with the variants for GPUs. */
const MOST_DISPATCHES = { jax: 0.3, tfjs: 0.13 } as const;
const MOST_MEMORY = 1.1;

const provider = option("provider") ?? (process.versions.deno === undefined ? "dawn" : "native");
const mlp = jobOf("mlp");
const [own, forGpus] = [await costsOf(mlp, false), await costsOf(mlp, true)];
const transformer = await costsOf(jobOf("transformer"), false);
const rows = [
  ...await dispatchRows(),
  {
    name: "buffers, bind groups and pipelines that a step makes",
    value: own.made + transformer.made,
    target: 0,
  },
  { name: "submits of a step", value: Math.max(own.submits, transformer.submits), target: 1 },
  { name: "memory of the MLP's step by the least", value: own.memory, target: MOST_MEMORY },
  { name: "memory of the transformer's step by the least", value: transformer.memory, target: MOST_MEMORY },
].map((row) => ({ ...row, isHeld: row.value <= row.target }));
for (const { name, value, target, isHeld } of rows) {
  console.log(`${name}: ${Number(value.toFixed(3))} | <= ${target}: ${isHeld ? "held" : "MISSED"}`);
}
console.log(
  `dispatches: ${own.dispatches}, with variants for GPUs ${forGpus.dispatches}; of the transformer's step ` +
    `${transformer.dispatches}`,
);
const lstm = await lstmDispatches();
console.log(`dispatches of the LSTM's step: ${lstm.own}, tfjs ${lstm.tfjs}`);
console.log(JSON.stringify({
  bench: "train, costs of a step",
  runtime: navigator.userAgent,
  provider,
  own,
  forGpus,
  transformer,
  lstm,
  rows,
  isHeld: rows.every(({ isHeld }) => isHeld),
}));
process.exit(0);

interface Costs {
  readonly dispatches: number;
  /** Buffers, bind groups and pipelines of {@link STEPS} steps. */
  readonly made: number;
  /** Of one step. */
  readonly submits: number;
  /** All buffers of the device but those for reading back, by the least. */
  readonly memory: number;
  readonly bytes: number;
  readonly leastBytes: number;
}

async function costsOf(job: TrainingJob, hasGpuVariants: boolean): Promise<Costs> {
  const gpu = await GpuDevice.open(providerOption());
  if (hasGpuVariants) Object.defineProperty(gpu, "isCpuAdapter", { value: false });
  const bytesNow = countBytes(gpu.device);
  const { step, run } = await singleSteps(gpu, job);
  await run();
  await run();
  const before = gpu.counters;
  for (let each = 0; each < STEPS; each++) await run();
  const after = gpu.counters;
  const { programs: [program], memory } = await step.explain();
  const leastBytes = memory.store + memory.gradients + memory.leastWorkspace;
  const bytes = bytesNow();
  await step.close();
  await gpu.close();
  return {
    dispatches: program?.dispatches ?? NaN,
    made: madeIn(after) - madeIn(before),
    submits: (after.submits - before.submits) / STEPS,
    memory: bytes / leastBytes,
    bytes,
    leastBytes,
  };
}

function madeIn({ buffersCreated, bindGroupsCreated, pipelinesCreated }: GpuCounters): number {
  return buffersCreated + bindGroupsCreated + pipelinesCreated;
}

/** Bytes of the buffers that the device has at the time of a call, without those for reading back. */
function countBytes(device: GPUDevice): () => number {
  let bytes = 0;
  const createBuffer = device.createBuffer.bind(device);
  Object.defineProperty(device, "createBuffer", {
    value: (descriptor: GPUBufferDescriptor) => {
      const buffer = createBuffer(descriptor);
      if ((descriptor.usage & BufferUsage.MAP_READ) !== 0) return buffer;
      bytes += descriptor.size;
      const destroy = buffer.destroy.bind(buffer);
      const freed = (): void => {
        bytes -= descriptor.size;
        destroy();
      };
      Object.defineProperty(buffer, "destroy", { value: freed });
      return buffer;
    },
  });
  return () => bytes;
}

/** How many dispatches a peer's step has. */
async function dispatchesOf(name: ContenderName, job: TrainingJob): Promise<number> {
  const peer = new Peer(name, provider);
  const { dispatches } = await peer.count(await peer.prepare(job));
  peer.close();
  return dispatches / job.steps;
}

/** Where most of what an LSTM gains comes from. */
async function lstmDispatches(): Promise<{ readonly own: number; readonly tfjs: number }> {
  const job = jobOf("lstm");
  return { own: (await costsOf(job, false)).dispatches, tfjs: await dispatchesOf("tfjs", job) };
}

async function dispatchRows(): Promise<{ name: string; value: number; target: number }[]> {
  const rows = [];
  for (const name of ["jax", "tfjs"] as const) {
    const theirs = await dispatchesOf(name, mlp);
    rows.push({
      name: `dispatches of the MLP's step with variants for GPUs, by ${name}'s ${theirs}`,
      value: forGpus.dispatches / theirs,
      target: MOST_DISPATCHES[name],
    });
  }
  return rows;
}
