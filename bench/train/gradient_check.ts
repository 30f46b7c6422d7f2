/**
 * What does it cost to look at every gradient before it is used? `npm run bench -- train` runs it last.
 *
 * The step of the MLP 784-256-128-10 (batch 64, AdamW) with the check and the verdict, and without. Rounds are
 * interleaved, each job ends with the same weights to the bit, which is checked after every round. As that difference
 * is small beside what neighbours do to a step, the check is also timed on its own, many times in a row. The last
 * line is JSON. Options: `--rounds=9`, `--steps=40`, `--provider=dawn`.
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import type { BufferRange } from "../../src/gpu/buffer_range.ts";
import { BufferUsage } from "../../src/gpu/constants.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { Executable } from "../../src/graph/executable.ts";
import type { UpdateBinding } from "../../src/graph/program.ts";
import type { Dispatch } from "../../src/gpu/dispatch.ts";
import { encodeStepScalars } from "../../src/kernels/step_scalars.ts";
import { encodeStepVerdict } from "../../src/kernels/optimizer/step_verdict.ts";
import { Model } from "../../src/nn/model.ts";
import * as nn from "../../src/nn/nn.ts";
import * as optim from "../../src/nn/optim/optim.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import type { BatchSource, ExampleSpec } from "../../src/data/batch_source.ts";
import { ParameterRules } from "../../src/train/step/parameter_rules.ts";
import { StepMemory, stepProgram } from "../../src/train/step/step_program.ts";
import { stepValues } from "../../src/train/step/step_values.ts";
import { interleavedWithCpu, median, ratioOf } from "../interleaved.ts";

const BATCH = 64;
const [BETA1, BETA2] = [0.9, 0.999];
const MOST_PERCENT = 2;
const ALONE = "the check alone";
/** Of the check on its own. */
const REPETITIONS = 200;
const rounds = Number(option("rounds") ?? 9);
const steps = Number(option("steps") ?? 40);
const provider = option("provider");
const gpu = await GpuDevice.open(provider === "dawn" || provider === "native" ? { provider } : {});

const random = numbers(7);
const data: BatchSource = {
  batchSize: BATCH,
  exampleCount: BATCH,
  inputs: { dtype: "f32", shape: [784] },
  labels: { dtype: "u32", shape: [] },
  batchAt: () => batch,
};
const batch = {
  inputs: Float32Array.from({ length: BATCH * 784 }, random),
  labels: Uint32Array.from({ length: BATCH }, (_, index) => index % 10),
};
const jobs = [await jobOf(true), await jobOf(false)];
const expected = await weightsAfter(jobs[0] as Job);
const measured = await interleavedWithCpu(
  [
    ...jobs.map((job) => ({
      name: job.name,
      prepare: () => job.reset(),
      run: () => job.run(),
      check: async () => requireSame(job, await job.weights()),
    })),
    { name: ALONE, run: () => jobs[0]?.checkAlone(), check: () => {} },
  ],
  rounds,
);
report();
process.exit(0);

interface Job {
  readonly name: string;
  /** The weights as they were at first. */
  readonly reset: () => Promise<void>;
  readonly run: () => Promise<void>;
  /** Only the dispatches of the check, {@link REPETITIONS} times. */
  readonly checkAlone: () => Promise<void>;
  readonly weights: () => Promise<Uint8Array>;
}

function option(name: string): string | undefined {
  return process.argv.find((argument) => argument.startsWith(`--${name}=`))?.split("=")[1];
}

/** Numbers from [0, 1) that are the same everywhere. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5 >>> 0;
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
  };
}

async function jobOf(isChecked: boolean): Promise<Job> {
  const store = TensorStore.on(gpu);
  const layers = [nn.linear(784, 256), nn.relu(), nn.linear(256, 128), nn.relu(), nn.linear(128, 10)];
  const model = Model.define(store, nn.sequential(...layers), data.inputs as ExampleSpec, BATCH);
  const optimizer = optim.adamw({ learningRate: 1e-3, beta1: BETA1, beta2: BETA2 });
  const rules = new ParameterRules(optimizer, model.parameters);
  const slots = new Map(rules.slots.map((slot) => [slot, store.mirror(slot, model.group.name)]));
  const [losses, control] = store.define("state", [
    { name: "losses", dtype: "f32", shape: [64] },
    { name: "control", dtype: "u32", shape: [4] },
  ]).tensors;
  if (losses === undefined || control === undefined) throw new Error("no state");
  const values = stepValues({ model, loss: nn.crossEntropy(), data, rules });
  const memory = new StepMemory(model, values);
  const state = { slots, losses: losses.range, control: control.range, columns: new Map() };
  const program = stepProgram({ model, optimizer, rules, values, memory, state });
  const isCheck = ({ label }: { label: string }): boolean =>
    /^(gradientCheck|foldPartials|stepVerdict)/.test(label);
  const all = (program.updates ?? []).flatMap((update) => "values" in update ? [] : [update]);
  const updates = all.filter((update) => isChecked || !isCheck(update));
  const checks = await checksOf(all.filter(isCheck));
  const executable = await Executable.compile(gpu, { ...program, updates }, { variants: store.variants });
  const everything = [model.group, ...slots.values(), store.group("state")];
  return {
    name: isChecked ? "with the check" : "without",
    reset: async () => {
      for (const { slabs } of everything) {
        for (const { buffer, byteLength } of slabs) gpu.write(buffer, 0, new Uint8Array(byteLength));
      }
      await model.initialize(1);
      await gpu.idle();
    },
    run: async () => {
      for (let step = 0; step < steps; step++) {
        if (!isChecked) {
          const corrections = [1 - BETA1 ** (step + 1), 1 - BETA2 ** (step + 1)];
          gpu.write(memory.verdict, 0, encodeStepVerdict({ updates: step + 1, corrections }));
        }
        executable.run(batch, { seed: 1, step, values: optimizer.scalars(step) });
      }
      await gpu.idle();
    },
    checkAlone: async () => {
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (let repetition = 0; repetition < REPETITIONS; repetition++) {
        for (const check of checks) check(pass);
      }
      pass.end();
      gpu.submit(encoder);
      await gpu.idle();
    },
    weights: async () => Buffer.concat(await gpu.read(model.group.tensors.map(({ range }) => range))),
  };
}

/** The dispatches of the check; what they take from the program comes from elsewhere, as only their time counts. */
async function checksOf(
  dispatches: readonly Dispatch<UpdateBinding>[],
): Promise<((pass: GPUComputePassEncoder) => void)[]> {
  const bytes = encodeStepScalars({ seed: 0, step: 0, values: [] });
  const scalars = gpu.createBuffer("scalars", bytes.byteLength, BufferUsage.UNIFORM | BufferUsage.COPY_DST);
  gpu.write(scalars, 0, bytes);
  // The losses are written, so that the loss has to be somewhere else.
  const other = gpu.createBuffer("loss", 4, BufferUsage.STORAGE | BufferUsage.COPY_DST);
  return await Promise.all(dispatches.map(async (dispatch) => {
    const bindings = dispatch.bindings.map((binding): BufferRange => {
      if (binding === "scalars") return { buffer: scalars, offset: 0, size: bytes.byteLength };
      return "buffer" in binding ? binding : { buffer: other, offset: 0, size: 4 };
    });
    const pipeline = await gpu.pipeline(dispatch);
    const group = gpu.bindGroup(dispatch.label, pipeline, bindings);
    return (pass) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...dispatch.workgroups);
    };
  }));
}

async function weightsAfter(job: Job): Promise<Uint8Array> {
  await job.reset();
  await job.run();
  return await job.weights();
}

function requireSame(job: Job, found: Uint8Array): void {
  if (Buffer.compare(found, expected) !== 0) throw new Error(`${job.name}: the weights are others`);
}

function report(): void {
  const [checked, plain] = jobs.map(({ name }) => measured.get(name));
  if (checked === undefined || plain === undefined) throw new Error("nothing was measured");
  const percent = (ratio: number): number => Number(((ratio - 1) * 100).toFixed(2));
  const wall = ratioOf(checked.ms, plain.ms);
  const cpu = ratioOf(checked.cpuMs, plain.cpuMs);
  const stepMs = median(plain.cpuMs) / steps;
  const aloneMs = median(measured.get(ALONE)?.cpuMs ?? []) / REPETITIONS;
  const alone = Number((100 * aloneMs / stepMs).toFixed(2));
  console.log(
    `check of every gradient, on its own: ${(aloneMs * 1000).toFixed(0)} us, ${alone} % of a step of ${
      stepMs.toFixed(2)
    } ms of processor time; at most ${MOST_PERCENT} % wanted`,
  );
  console.log(
    `step with it against the step without: ${percent(cpu.measured)} % of the step's processor time (${
      stepMs.toFixed(2)
    } ms a step, spread ` +
      `${cpu.spread.toFixed(3)}), ${percent(wall.measured)} % by the clock`,
  );
  console.log(JSON.stringify({
    bench: "train, gradient check",
    runtime: navigator.userAgent,
    adapter: gpu.adapterName,
    provider: gpu.provider,
    rounds,
    steps,
    stepCpuMs: Number(stepMs.toFixed(3)),
    checkPercentCpu: percent(cpu.measured),
    checkPercentWall: percent(wall.measured),
    spreadCpu: Number(cpu.spread.toFixed(3)),
    checkUs: Number((aloneMs * 1000).toFixed(1)),
    checkAlonePercent: alone,
    isHeld: alone <= MOST_PERCENT,
  }));
}
