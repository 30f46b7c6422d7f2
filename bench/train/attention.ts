/**
 * Attention over 2,048 positions, fused and as matmul, softmax and matmul: time and memory. `npm run bench -- train`
 * runs it.
 *
 * Two heads of 32, as the transformer of `jobs.ts` has them, forward and the gradients of queries, keys and values; causal (of which the fused form computes half,
 * and the other one hides half) and not. Rounds are interleaved, the results of both forms are compared, and what each
 * takes is the processor's time and the clock's. Memory is that of the program less its inputs and results, which both
 * have. The last line is JSON. Options: `--rounds=7`, `--provider=dawn`.
 */
import process from "node:process";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { Executable } from "../../src/graph/executable.ts";
import { attention, constant, input, matmul, mul, softmax, sum, where } from "../../src/graph/ops.ts";
import type { Value } from "../../src/graph/value.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { interleavedWithCpu, median, ratioOf } from "../interleaved.ts";
import { numbers, samplePlaces } from "../peers/contender.mjs";
import { option, providerOption } from "./single_steps.ts";

const [HEADS, POSITIONS, WIDTH] = [2, 2048, 32];
const SHAPE = [1, HEADS, POSITIONS, WIDTH];
/** Queries, keys, values and the result's gradient go in, the result and three gradients come out. */
const SHARED_BYTES = 8 * 4 * HEADS * POSITIONS * WIDTH;
const TARGETS = { time: 3, memory: 10 } as const;

const rounds = Number(option("rounds") ?? 7);
const gpu = await GpuDevice.open(providerOption());
const names = ["q", "k", "v", "g"] as const;
const given = Object.fromEntries(names.map((name, seed) => [name, numbers(HEADS * POSITIONS * WIDTH, seed)]));
const rows = [await rowOf(false), await rowOf(true)];
for (const { name, ms, time, wall, memory, isHeld } of rows) {
  console.log(
    `${name}: ${ms.toFixed(0)} ms of the processor | the unfused form takes ${
      time.toFixed(2)
    }x, by the clock ` +
      `${wall.toFixed(2)}x, and ${memory.toFixed(1)}x the memory | >= ${TARGETS.time}, ${TARGETS.memory}: ` +
      `${isHeld ? "held" : "MISSED"}`,
  );
}
console.log(JSON.stringify({
  bench: "train, attention",
  runtime: navigator.userAgent,
  adapter: gpu.adapterName,
  provider: gpu.provider,
  rounds,
  rows,
  isHeld: rows.every(({ isHeld }) => isHeld),
}));
process.exit(0);

async function rowOf(isCausal: boolean) {
  const fused = await compiled((q, k, v) => attention(q, k, v, { causal: isCausal }));
  const unfused = await compiled((q, k, v) => composed(q, k, v, isCausal));
  const expected = await resultsOf(unfused);
  const contenders = [["fused", fused], ["unfused", unfused]] as const;
  const measured = await interleavedWithCpu(
    contenders.map(([name, executable]) => ({
      name,
      run: async () => {
        executable.run(given);
        await gpu.idle();
      },
      check: async () => requireNear(name, await resultsOf(executable), expected),
    })),
    rounds,
  );
  const [own, other] = contenders.map(([name]) => measured.get(name) ?? { ms: [], cpuMs: [] });
  if (own === undefined || other === undefined) throw new Error("nothing was measured");
  const [time, wall] = [ratioOf(other.cpuMs, own.cpuMs).measured, ratioOf(other.ms, own.ms).measured];
  const [ownBytes, otherBytes] = [fused, unfused].map(({ stats }) => stats.workspaceBytes - SHARED_BYTES);
  const memory = (otherBytes ?? NaN) / (ownBytes ?? NaN);
  for (const executable of [fused, unfused]) executable.close();
  return {
    name: `attention over ${POSITIONS} positions${isCausal ? ", causal" : ""}`,
    ms: median(own.cpuMs),
    time,
    wall,
    ownBytes,
    otherBytes,
    memory,
    isHeld: time >= TARGETS.time && memory >= TARGETS.memory,
  };
}

function composed(q: Value, k: Value, v: Value, isCausal: boolean): Value {
  const scores = mul(matmul(q, k, { transposeB: true }), 1 / Math.sqrt(WIDTH));
  return matmul(softmax(isCausal ? where(visible(), scores, -Infinity) : scores), v);
}

/** 1 where a position sees another: `[positions, positions]`. */
function visible(): Value {
  const isSeen = (_: unknown, at: number) => at % POSITIONS <= Math.floor(at / POSITIONS) ? 1 : 0;
  return constant(
    HostTensor.from(Uint32Array.from({ length: POSITIONS ** 2 }, isSeen), [POSITIONS, POSITIONS]),
  );
}

async function compiled(attend: (q: Value, k: Value, v: Value) => Value): Promise<Executable> {
  const values = names.map((name) => input(name, "f32", SHAPE));
  const [q, k, v, g] = values;
  if (q === undefined || k === undefined || v === undefined || g === undefined) throw new Error("no inputs");
  const result = attend(q, k, v);
  const [dq, dk, dv] = gradients(sum(mul(result, g)), [q, k, v]);
  if (dq === undefined || dk === undefined || dv === undefined) throw new Error("no gradients");
  return await Executable.compile(gpu, {
    inputs: values,
    outputs: { result, dq, dk, dv },
    parameters: (name) => {
      throw new Error(`there is no parameter ${name}`);
    },
  });
}

/** Some elements of the result and of each gradient. */
async function resultsOf(executable: Executable): Promise<number[][]> {
  executable.run(given);
  const read = await executable.read("result", "dq", "dk", "dv");
  return read.map((tensor) => {
    const elements = tensor.toArray();
    return samplePlaces(elements.length).map((place) => Number(elements[place]));
  });
}

function requireNear(name: string, found: readonly number[][], expected: readonly number[][]): void {
  expected.forEach((values, which) => {
    const largest = Math.max(...values.map(Math.abs));
    values.forEach((value, index) => {
      if (Math.abs((found[which]?.[index] ?? NaN) - value) <= 1e-4 * largest) return;
      throw new Error(
        `${name}: element ${index} of result ${which} is ${found[which]?.[index]}, not ${value}`,
      );
    });
  });
}
