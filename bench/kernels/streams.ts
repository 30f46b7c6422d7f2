/**
 * How near to a copy are the kernels that do little with what they read? `bun bench/kernels/streams.ts`, or `deno run
 * -A bench/kernels/streams.ts`; `npm run bench -- train` runs it too. Each figure is bytes read and written by the
 * processor's time of the whole process, beside the fastest of three kernels that copy: an f32, a vector of four, or
 * four vectors in an invocation. Bytes count as often as a kernel reads them; *of the tensor* counts them once, as if
 * nothing had to be read twice. Rounds are interleaved, every result is checked, and the last line is JSON. Options:
 * `--rounds=9`, `--provider=dawn`.
 */
import process from "node:process";
import { BufferUsage } from "../../src/gpu/constants.ts";
import { mostBindingBytes } from "../../src/gpu/binding_parts.ts";
import type { BufferRange } from "../../src/gpu/buffer_range.ts";
import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../src/gpu/dispatch.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import type { KernelMemory } from "../../src/kernels/kernel_steps.ts";
import { adam } from "../../src/kernels/optimizer/adam.ts";
import { encodeStepVerdict } from "../../src/kernels/optimizer/step_verdict.ts";
import { encodeStepScalars } from "../../src/kernels/step_scalars.ts";
import { packedChannels } from "../../src/kernels/norm/packed_channels.ts";
import { rowNorm } from "../../src/kernels/norm/row_norm.ts";
import { softmax } from "../../src/kernels/softmax/softmax.ts";
import { type Contender, interleavedWithCpu, median, ratioOf } from "../interleaved.ts";

const COUNT = 4 * 1024 * 1024;
const rounds = Number(option("rounds") ?? 9);
const provider = option("provider");
const gpu = await GpuDevice.open(provider === "dawn" || provider === "native" ? { provider } : {});
const variant = gpu.isCpuAdapter ? "row" : "workgroup";
const values = Float32Array.from({ length: COUNT }, () => 2 * Math.random() + 3);
const [input, out] = [upload(values), upload(new Float32Array(COUNT))];

/** What a kernel is to reach of the fastest copy's rate, and how often it accesses an element, and has to. */
interface StreamRow {
  readonly target?: number;
  readonly accesses: number;
  readonly fewest: number;
}

const ROWS: Readonly<Record<string, StreamRow>> = {
  layerNorm: { target: 1, accesses: 3, fewest: 2 },
  softmax: { target: 0.8, accesses: 3, fewest: 2 },
  adamw: { target: 0.9, accesses: 7, fewest: 7 },
};

const contenders = [
  await contender("copy f32", [copyKernel(1, 1)], (x) => x),
  await contender("copy vec4", [copyKernel(4, 1)], (x) => x),
  await contender("copy 4 vec4", [copyKernel(4, 4)], (x) => x),
  ...await Promise.all([1024, 128].flatMap((length) => [layerNormOf(length), softmaxOf(length)])),
  await adamwStep(),
];
const measured = await interleavedWithCpu(contenders, rounds);
const copies = ["copy f32", "copy vec4", "copy 4 vec4"].map((name) => measured.get(name)?.cpuMs ?? []);
const fastest = copies.reduce((best, times) => median(times) < median(best) ? times : best);
const rows = [...measured].map(([name, { ms, cpuMs }]) => {
  const row: StreamRow = ROWS[name.split(" ")[0] ?? ""] ?? { accesses: 2, fewest: 2 };
  const { target, accesses, fewest } = row;
  const { measured, spread } = ratioOf(fastest, cpuMs);
  const [ofCopy, ofTensor] = [measured * accesses / 2, measured * fewest / 2];
  return {
    name,
    ms: median(ms),
    cpuMs: median(cpuMs),
    gigabytes: 4 * accesses * COUNT / median(cpuMs) / 1e6,
    ofCopy,
    ofTensor,
    spread,
    ...target === undefined ? {} : { target, isHeld: ofCopy >= target },
  };
});
for (const { name, ms, cpuMs, gigabytes, ofCopy, ofTensor, spread, target, isHeld } of rows) {
  const wanted = target === undefined ? "" : ` | >= ${target}: ${isHeld ? "held" : "MISSED"}`;
  console.log(
    `${name.padEnd(20)} ${cpuMs.toFixed(2).padStart(7)} ms of the processor ${
      ms.toFixed(2).padStart(7)
    } ms  ` +
      `${gigabytes.toFixed(2)} GB/s, ${ofCopy.toFixed(2)}x the fastest copy (of the tensor ` +
      `${ofTensor.toFixed(2)}x), spread ${spread.toFixed(2)}${wanted}`,
  );
}
const where = { runtime: navigator.userAgent, adapter: gpu.adapterName, provider: gpu.provider };
const isHeld = rows.every((row) => row.isHeld !== false);
console.log(JSON.stringify({ bench: "streams", ...where, rounds, results: rows, isHeld }));
await gpu.close();
process.exit(0);

function option(name: string): string | undefined {
  return process.argv.find((argument) => argument.startsWith(`--${name}=`))?.split("=")[1];
}

function upload(elements: Float32Array | Uint8Array): BufferRange {
  const { COPY_DST, COPY_SRC, STORAGE, UNIFORM } = BufferUsage;
  const size = elements.byteLength;
  const buffer = gpu.createBuffer("bench", size, COPY_DST | COPY_SRC | STORAGE | UNIFORM);
  gpu.write(buffer, 0, new Uint8Array(elements.buffer, elements.byteOffset, size));
  return { buffer, offset: 0, size };
}

function copyKernel(width: 1 | 4, each: number): Dispatch {
  const type = width === 1 ? "f32" : "vec4<f32>";
  const count = COUNT / width / each;
  const lines = Array.from({ length: each }, (_, at) => {
    const place = `index * ${each}u + ${at}u`;
    return `  out[${place}] = input[${place}];`;
  });
  return {
    label: `copy ${type} ${each}`,
    code: `override count: u32;
@group(0) @binding(0) var<storage, read> input: array<${type}>;
@group(0) @binding(1) var<storage, read_write> out: array<${type}>;
${LINEAR_MAIN_WGSL}
${lines.join("\n")}
}
`,
    constants: { count },
    bindings: [input, out],
    workgroups: linearGrid(count),
  };
}

/** Weight 1 and bias 1, as a program lowers them. */
async function layerNormOf(length: number): Promise<Contender<Float32Array>> {
  const sizes = { batch: COUNT / length, channels: length, inner: 1, groups: 1 };
  const ones = new Float32Array(length).fill(1);
  const perChannel = { weight: upload(ones), bias: upload(ones) };
  const packing = packedChannels(perChannel, sizes, variant, memory());
  const options = { sizes, isCentred: true, epsilon: 1e-5, variant } as const;
  const norm = rowNorm({ input, ...perChannel, packed: packing?.packed, out }, options);
  const steps = [...packing === undefined ? [] : [packing.step.dispatch], norm];
  const [mean, deviation] = momentsOf(values.subarray(0, length));
  return await contender(`layerNorm of ${length}`, steps, (x) => (x - mean) / deviation + 1);
}

async function softmaxOf(length: number): Promise<Contender<Float32Array>> {
  const sizes = { outer: COUNT / length, reduced: length, inner: 1 };
  const total = values.subarray(0, length).reduce((sum, x) => sum + Math.exp(x), 0);
  const dispatch = softmax({ input, out }, { ...sizes, isLog: false, variant });
  return await contender(`softmax of ${length}`, [dispatch], (x) => Math.exp(x) / total);
}

/** A first step, whose moments are 0 before: each element moves by the rate against the sign of its gradient. */
async function adamwStep(): Promise<Contender<Float32Array>> {
  const rate = 1e-3;
  const scalars = upload(encodeStepScalars({ seed: 0, step: 0, values: [rate] }));
  const verdict = upload(encodeStepVerdict({ corrections: [0.1, 1e-3] }));
  const [parameter, zeros] = [upload(values), new Uint8Array(4 * COUNT)];
  const [m, v] = [upload(new Float32Array(COUNT)), upload(new Float32Array(COUNT))];
  const step = adam({ parameter, gradient: input, m, v, scalars, verdict }, {
    count: COUNT,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0.01,
    decay: "decoupled",
  });
  const made = await contender("adamw", [step], (x) => x * (1 - 0.01 * rate) - rate, parameter);
  return {
    ...made,
    prepare: async () => {
      gpu.write(parameter.buffer, 0, new Uint8Array(values.buffer));
      for (const { buffer } of [m, v]) gpu.write(buffer, 0, zeros);
      await gpu.idle();
    },
  };
}

function momentsOf(row: Float32Array): [mean: number, deviation: number] {
  const mean = row.reduce((sum, x) => sum + x, 0) / row.length;
  const variance = row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / row.length;
  return [mean, Math.sqrt(variance + 1e-5)];
}

function memory(): KernelMemory<BufferRange> {
  return {
    bindingBytes: mostBindingBytes(gpu),
    scratch: (_, byteLength) => upload(new Float32Array(byteLength / 4)),
    constant: () => {
      throw new Error("No constants are needed");
    },
    slice: ({ buffer, offset }, from, size) => ({ buffer, offset: offset + from, size }),
    bytesOf: ({ size }) => size,
  };
}

/** @param expected Of an element of the first row. */
async function contender(
  name: string,
  dispatches: readonly Dispatch[],
  expected: (x: number) => number,
  result: BufferRange = out,
): Promise<Contender<Float32Array>> {
  const ready = await Promise.all(dispatches.map(async (dispatch) => {
    const pipeline = await gpu.pipeline(dispatch);
    return { dispatch, pipeline, group: gpu.bindGroup(name, pipeline, dispatch.bindings) };
  }));
  return {
    name,
    run: async () => {
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (const { dispatch, pipeline, group } of ready) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(...dispatch.workgroups);
      }
      pass.end();
      gpu.submit(encoder);
      await gpu.device.queue.onSubmittedWorkDone();
      return values;
    },
    check: async () => {
      const [bytes = new Uint8Array()] = await gpu.read([{ ...result, size: 4 * 128 }]);
      const found = new Float32Array(bytes.buffer, bytes.byteOffset, 128);
      found.forEach((each, at) => {
        const wanted = expected(values[at] ?? NaN);
        if (Math.abs(each - wanted) <= 1e-5 * (1 + Math.abs(wanted))) return;
        throw new Error(`${name}: element ${at} is ${each}, expected ${wanted}`);
      });
    },
  };
}
