/**
 * How fast are the kernels on this adapter? `bun bench/kernels/main.ts`, or `deno run -A bench/kernels/main.ts`.
 *
 * Rounds are interleaved: each runs every contender once, so that a busy machine disturbs all alike. After every timed
 * run the result is compared bit for bit with the first, which was checked against float64. The last line is JSON.
 * Options: `--rounds=9`, `--provider=dawn`.
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import { mostBindingBytes } from "../../src/gpu/binding_parts.ts";
import type { BufferRange } from "../../src/gpu/buffer_range.ts";
import { BufferUsage } from "../../src/gpu/constants.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { fuse } from "../../src/graph/fusion.ts";
import { add, input, mul, relu } from "../../src/graph/ops.ts";
import { adam } from "../../src/kernels/optimizer/adam.ts";
import { type Dispatch, gridFor } from "../../src/gpu/dispatch.ts";
import { elementwise } from "../../src/kernels/elementwise/elementwise.ts";
import type { KernelMemory } from "../../src/kernels/kernel_steps.ts";
import { matmulSteps } from "../../src/kernels/matmul/matmul_steps.ts";
import { reduce } from "../../src/kernels/reduce/reduce.ts";
import type { ReductionSpan } from "../../src/kernels/reduce/reduction_plan.ts";
import { encodeStepScalars } from "../../src/kernels/step_scalars.ts";
import { encodeStepVerdict } from "../../src/kernels/optimizer/step_verdict.ts";

/** Something that is timed. */
interface Contender {
  /** What it is compared with others in. */
  readonly group: string;
  readonly name: string;
  /** Floating-point operations, or bytes read and written, of one repetition. */
  readonly work: number;
  readonly unit: "GFLOP/s" | "GB/s";
  readonly encode: (encoder: GPUCommandEncoder, repetitions: number) => void;
  /** Puts back what a run changes. */
  readonly reset: () => void;
  readonly result: BufferRange;
  /** Throws unless the first result, after one repetition, is right. */
  readonly check: (result: Float32Array) => void;
}

interface Measured extends Contender {
  readonly repetitions: number;
  readonly expected: Uint8Array;
  /** Milliseconds of one repetition, one for each round. */
  readonly times: number[];
}

/** What is summed of the streams' 4 Mi elements. */
const SUMS: readonly [name: string, run: ReductionSpan][] = [
  ["column sums", { outer: 1, reduced: 1024, inner: 4096 }],
  ["row sums", { outer: 4096, reduced: 1024, inner: 1 }],
  ["64 long columns", { outer: 1, reduced: 65_536, inner: 64 }],
  ["64 long rows", { outer: 64, reduced: 65_536, inner: 1 }],
  ["one sum", { outer: 1, reduced: 4_194_304, inner: 1 }],
];

const rounds = Number(option("rounds") ?? 9);
const provider = option("provider");
const gpu = await GpuDevice.open(provider === "dawn" || provider === "native" ? { provider } : {});
const fenceMs = await medianOf(9, () => timed(() => gpu.submit([])));
const contenders = [
  ...await matmulContenders("1024 NN", { m: 1024, n: 1024, k: 1024 }),
  ...await matmulContenders("1024 NT", { m: 1024, n: 1024, k: 1024, transposeB: true }),
  ...await matmulContenders("1024 TN", { m: 1024, n: 1024, k: 1024, transposeA: true }),
  ...await matmulContenders("forward 64x784 256", { m: 64, n: 256, k: 784, transposeB: true }),
  ...await matmulContenders("forward 64x256 128", { m: 64, n: 128, k: 256, transposeB: true }),
  ...await matmulContenders("forward 64x128 10", { m: 64, n: 10, k: 128, transposeB: true }),
  ...await matmulContenders("dW 256x784", { m: 256, n: 784, k: 64, transposeA: true }),
  ...await matmulContenders("dW 128x256", { m: 128, n: 256, k: 64, transposeA: true }),
  ...await matmulContenders("dX 64x256", { m: 64, n: 256, k: 128 }),
  ...await streamContenders(),
];
const measured: Measured[] = [];
for (const contender of contenders) measured.push(await warmUp(contender));
for (let round = 0; round < rounds; round++) {
  for (const contender of measured) contender.times.push(await timedRun(contender));
}
report(measured);
await gpu.close();
process.exit(0);

function option(name: string): string | undefined {
  return process.argv.find((argument) => argument.startsWith(`--${name}=`))?.split("=")[1];
}

async function timed(work: () => void): Promise<number> {
  const start = performance.now();
  work();
  await gpu.device.queue.onSubmittedWorkDone();
  return performance.now() - start;
}

async function medianOf(count: number, measure: () => Promise<number>): Promise<number> {
  const values: number[] = [];
  for (let index = 0; index < count; index++) values.push(await measure());
  return median(values);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

function submit({ encode }: Contender, repetitions: number): void {
  const encoder = gpu.device.createCommandEncoder();
  encode(encoder, repetitions);
  gpu.submit(encoder);
}

/** Compiles, checks the result of one repetition, and finds how many make a run long against the fence. */
async function warmUp(contender: Contender): Promise<Measured> {
  contender.reset();
  submit(contender, 1);
  const [result = new Uint8Array()] = await gpu.read([contender.result]);
  contender.check(new Float32Array(result.buffer));
  const once = Math.max(await timed(() => submit(contender, 1)) - fenceMs, 0.01);
  const repetitions = Math.min(1000, Math.ceil((40 + fenceMs) / once));
  contender.reset();
  submit(contender, repetitions);
  const [expected = new Uint8Array()] = await gpu.read([contender.result]);
  return { ...contender, repetitions, expected, times: [] };
}

async function timedRun(contender: Measured): Promise<number> {
  contender.reset();
  await gpu.idle();
  const ms = await timed(() => submit(contender, contender.repetitions));
  const [result = new Uint8Array()] = await gpu.read([contender.result]);
  if (Buffer.compare(result, contender.expected) !== 0) {
    throw new Error(`${contender.group}, ${contender.name}: the result changed`);
  }
  return Math.max(ms - fenceMs, 0.001) / contender.repetitions;
}

function upload(values: Float32Array | Uint8Array): BufferRange {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const { COPY_DST, COPY_SRC, STORAGE, UNIFORM } = BufferUsage;
  const buffer = gpu.createBuffer("bench", bytes.byteLength, COPY_DST | COPY_SRC | STORAGE | UNIFORM);
  gpu.write(buffer, 0, bytes);
  return { buffer, offset: 0, size: bytes.byteLength };
}

/** Memory of a kernel of several dispatches. */
function memoryOfSteps(): KernelMemory<BufferRange> {
  return {
    bindingBytes: mostBindingBytes(gpu),
    scratch: (_, byteLength) => upload(new Uint8Array(byteLength)),
    constant: (_, words) => upload(new Uint8Array(words.buffer)),
    slice: ({ buffer, offset }, from, size) => ({ buffer, offset: offset + from, size }),
    bytesOf: ({ size }) => size,
  };
}

function randomNumbers(count: number): Float32Array {
  return Float32Array.from({ length: count }, () => Math.random() - 0.5);
}

async function encoderOf(...dispatches: Dispatch[]): Promise<Contender["encode"]> {
  const ready = await Promise.all(dispatches.map(async (dispatch) => {
    const pipeline = await gpu.pipeline(dispatch);
    const group = gpu.bindGroup(dispatch.label, pipeline, dispatch.bindings);
    return { pipeline, group, workgroups: dispatch.workgroups };
  }));
  return (encoder, repetitions) => {
    const pass = encoder.beginComputePass();
    for (let index = 0; index < repetitions; index++) {
      for (const { pipeline, group, workgroups } of ready) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(...workgroups);
      }
    }
    pass.end();
  };
}

function checkSums(name: string, result: Float32Array, x: Float32Array, run: ReductionSpan): void {
  const { outer, reduced, inner } = run;
  for (let index = 0; index < outer * inner; index += 31) {
    const first = Math.floor(index / inner) * reduced * inner + index % inner;
    let total = 0;
    for (let term = 0; term < reduced; term++) total += x[first + term * inner] ?? NaN;
    if (!(Math.abs((result[index] ?? NaN) - total) < 1e-6 * reduced)) {
      throw new Error(`${name}: element ${index} is ${result[index]}, not ${total}`);
    }
  }
}

function sumSteps(input: BufferRange, out: BufferRange, run: ReductionSpan): Dispatch[] {
  const steps = reduce({ input, out }, { op: "sum", spans: [run] }, memoryOfSteps());
  return steps.map(({ dispatch }) => dispatch);
}

interface MatmulSizes {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

/** All variants, and a kernel of one invocation for each element as a base line. */
async function matmulContenders(group: string, sizes: MatmulSizes): Promise<Contender[]> {
  const { m, n, k } = sizes;
  const [aValues, bValues] = [randomNumbers(m * k), randomNumbers(k * n)];
  const [a, b, out] = [upload(aValues), upload(bValues), upload(new Float32Array(m * n))];
  const variants = ["register", "workgroup", "packed"] as const;
  const dispatches: [string, Dispatch[]][] = [
    ...variants.map((variant): [string, Dispatch[]] => {
      const steps = matmulSteps<BufferRange>({ a, b, out }, sizes, variant, memoryOfSteps());
      return [variant, steps.map(({ dispatch }) => dispatch)];
    }),
    ["naive", [naiveMatmul([a, b, out], sizes)]],
  ];
  return await Promise.all(dispatches.map(async ([name, steps]): Promise<Contender> => ({
    group: `matmul ${group}`,
    name,
    work: 2 * m * n * k,
    unit: "GFLOP/s",
    encode: await encoderOf(...steps),
    reset: () => {},
    result: out,
    check: (result) => checkMatmul(result, aValues, bValues, sizes),
  })));
}

function checkMatmul(result: Float32Array, a: Float32Array, b: Float32Array, sizes: MatmulSizes): void {
  const { m, n, k, transposeA = false, transposeB = false } = sizes;
  for (let index = 0; index < m * n; index += 97) {
    const [row, column] = [Math.floor(index / n), index % n];
    let total = 0;
    for (let p = 0; p < k; p++) {
      const left = a[transposeA ? p * m + row : row * k + p] ?? NaN;
      total += left * (b[transposeB ? column * k + p : p * n + column] ?? NaN);
    }
    if (!(Math.abs((result[index] ?? NaN) - total) < 1e-3)) {
      throw new Error(`matmul ${m}x${k}x${n}: element ${index} is ${result[index]}, not ${total}`);
    }
  }
}

function naiveMatmul(bindings: BufferRange[], sizes: MatmulSizes): Dispatch {
  const { m, n, k, transposeA = false, transposeB = false } = sizes;
  const code = `override m: u32;
override n: u32;
override k: u32;
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= m * n) { return; }
  let row = id.x / n;
  let column = id.x % n;
  var sum = 0.0;
  for (var p = 0u; p < k; p++) {
    sum += a[${transposeA ? "p * m + row" : "row * k + p"}] * b[${
    transposeB ? "column * k + p" : "p * n + column"
  }];
  }
  out[id.x] = sum;
}
`;
  return {
    label: "naive matmul",
    code,
    constants: { m, n, k },
    bindings,
    workgroups: gridFor(Math.ceil(m * n / 64)),
  };
}

/** Kernels that are bound by memory, beside a copy of the same tensor. */
async function streamContenders(): Promise<Contender[]> {
  const count = 4 * 1024 * 1024;
  const [xValues, yValues] = [randomNumbers(count), randomNumbers(count)];
  const [x, y, out] = [upload(xValues), upload(yValues), upload(new Float32Array(count))];
  const [parameter, m, v] = [
    upload(xValues),
    upload(new Float32Array(count)),
    upload(new Float32Array(count)),
  ];
  const scalars = upload(encodeStepScalars({ seed: 0, step: 0, values: [1e-3] }));
  const verdict = upload(encodeStepVerdict({ corrections: [0.1, 1e-3] }));
  const [group] = fuse([relu(add(mul(input("x", "f32", [count]), input("y", "f32", [count])), 1))]).values();
  if (group === undefined) throw new Error("no expression");
  const inputs = [x, y].map((binding) => ({ binding, dtype: "f32" as const, strides: [1] }));
  const outputs = [{ binding: out, dtype: "f32" as const, expression: group.expression }];
  const fused = elementwise({ inputs, outputs, shape: [count] });
  const hyperparameters = {
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0.01,
    decay: "decoupled" as const,
  };
  const step = adam({ parameter, gradient: y, m, v, scalars, verdict }, { count, ...hyperparameters });
  const common = { group: "streams of 16 MiB", unit: "GB/s" as const, reset: () => {}, result: out };
  const each = (name: string, of: (index: number) => number) => (result: Float32Array): void => {
    for (let index = 0; index < 4096; index += 31) {
      if (Math.abs((result[index] ?? NaN) - of(index)) < 1e-3) continue;
      throw new Error(`${name}: element ${index} is ${result[index]}, not ${of(index)}`);
    }
  };
  return [
    {
      ...common,
      name: "copyBufferToBuffer",
      work: 8 * count,
      encode: (encoder, repetitions) => {
        for (let index = 0; index < repetitions; index++) {
          encoder.copyBufferToBuffer(x.buffer, 0, out.buffer, 0, 4 * count);
        }
      },
      check: each("copy", (index) => xValues[index] ?? NaN),
    },
    {
      ...common,
      name: "relu(x * y + 1)",
      work: 12 * count,
      encode: await encoderOf(fused),
      check: each(
        "elementwise",
        (index) => Math.max((xValues[index] ?? NaN) * (yValues[index] ?? NaN) + 1, 0),
      ),
    },
    ...await Promise.all(SUMS.map(async ([name, run]): Promise<Contender> => ({
      ...common,
      name,
      work: 4 * count,
      encode: await encoderOf(...sumSteps(x, out, run)),
      result: { ...out, size: 4 * run.outer * run.inner },
      check: (result) => checkSums(name, result, xValues, run),
    }))),
    {
      ...common,
      name: "adamw",
      work: 28 * count,
      encode: await encoderOf(step),
      reset: () => {
        gpu.write(parameter.buffer, 0, new Uint8Array(xValues.buffer));
        for (const { buffer } of [m, v]) gpu.write(buffer, 0, new Uint8Array(4 * count));
      },
      result: parameter,
      // In the first step every parameter moves by the learning rate, against the sign of the gradient.
      check: each(
        "adamw",
        (index) => (xValues[index] ?? NaN) * (1 - 1e-5) - 1e-3 * Math.sign(yValues[index] ?? NaN),
      ),
    },
  ];
}

function report(results: readonly Measured[]): void {
  const rows = results.map(({ group, name, work, unit, times }) => {
    const ms = median(times);
    const [fastest, slowest] = [Math.min(...times), Math.max(...times)];
    const base = results.filter((other) => other.group === group).at(unit === "GB/s" ? 0 : -1)?.times ?? [];
    const ratio = median(times.map((time, round) => (base[round] ?? NaN) / time));
    return { group, name, unit, speed: work / ms / 1e6, us: ms * 1000, spread: slowest / fastest, ratio };
  });
  for (const { group, name, unit, speed, us, spread, ratio } of rows) {
    const compared = unit === "GB/s" ? "" : `  ${ratio.toFixed(2)}x naive`;
    console.log(
      `${group.padEnd(26)} ${name.padEnd(20)} ${speed.toFixed(2).padStart(8)} ${unit}  ${
        us.toFixed(0).padStart(8)
      } us  ` +
        `spread ${spread.toFixed(2)}${compared}`,
    );
  }
  const rounded = rows.map((row) => ({
    ...row,
    speed: Number(row.speed.toFixed(3)),
    us: Number(row.us.toFixed(1)),
    spread: Number(row.spread.toFixed(2)),
    ratio: Number(row.ratio.toFixed(3)),
  }));
  const where = { runtime: navigator.userAgent, adapter: gpu.adapterName, provider: gpu.provider };
  console.log(
    JSON.stringify({
      bench: "kernels",
      ...where,
      rounds,
      fenceMs: Number(fenceMs.toFixed(3)),
      results: rounded,
    }),
  );
}
