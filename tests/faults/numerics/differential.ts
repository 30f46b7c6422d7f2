import { BufferUsage } from "../../../src/gpu/constants.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import type { BufferRange } from "../../../src/gpu/buffer_range.ts";
import { Executable } from "../../../src/graph/executable.ts";
import type { Value } from "../../../src/graph/value.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { encloses, type Enclosure, exactly, isTelling, rounded } from "../../helpers/enclosure.ts";
import { CUSTOM_OPS } from "../../graph/ops/custom_twins.ts";
import type { Enclosures } from "../../graph/ops/op_twin.ts";
import { enclose } from "../../helpers/enclosing_interpreter.ts";
import { normalTwin, uniformTwin } from "../../kernels/twins/philox_twin.ts";
import { listed, type RandomGraph } from "./random_graphs.ts";

/** The step's scalars of every run, with some that are special. */
const SCALARS = { seed: 42, step: 7, values: [0.5, -1.25, 3, 0, Infinity, NaN] };

/** What a comparison found. */
export interface Differences {
  readonly differences: string[];
  /** Elements that were compared, and how many of them could have been nothing else. */
  readonly elements: number;
  readonly telling: number;
}

/** Computes `graphs` on the GPU, as one program, and as enclosures in float64. */
export async function compareGraphs(gpu: GpuDevice, graphs: readonly RandomGraph[]): Promise<Differences> {
  const found = await runGraphs(gpu, graphs);
  const differences: string[] = [];
  let [elements, telling] = [0, 0];
  for (const graph of graphs) {
    const expected = encloseGraph(graph);
    graph.outputs.forEach((output, which) => {
      const numbers = Array.from(found.get(output)?.toArray() ?? [], Number);
      const bounds = expected.get(output) ?? [];
      elements += bounds.length;
      telling += bounds.filter(isTelling).length;
      const wrong = bounds.findIndex((bound, index) => !encloses(bound, numbers[index] ?? 7e30));
      if (wrong >= 0) differences.push(described(graph, which, wrong, numbers[wrong], bounds[wrong]));
    });
  }
  return { differences, elements, telling };
}

/** What each value of the graph may be. */
export function encloseGraph(graph: RandomGraph): Map<Value, Enclosures> {
  const leaves = Object.fromEntries(
    [...graph.elements].map(([name, tensor]) => [name, Array.from(tensor.toArray(), Number)]),
  );
  return enclose(graph.outputs, { leaves, scalars: SCALARS.values, random, custom: CUSTOM_OPS });
}

/** Uniform numbers are exact. Normal ones have the errors of a root, a logarithm and a wave of WGSL. */
function random(op: string, stream: number, count: number): Enclosure[] {
  const draw = { seed: SCALARS.seed, step: SCALARS.step, stream };
  if (op === "randomUniform") return Array.from(uniformTwin(count, draw), exactly);
  return Array.from(normalTwin(count, draw), (x) => rounded({ lo: x, hi: x, nan: false }, 0, 6 * 2 ** -11));
}

async function runGraphs(gpu: GpuDevice, graphs: readonly RandomGraph[]): Promise<Map<Value, HostTensor>> {
  const outputs = graphs.flatMap((graph) => graph.outputs);
  const stored = new Map<string, BufferRange>();
  const given: Record<string, HostTensor> = {};
  try {
    for (const graph of graphs) {
      for (const { attributes } of graph.parameters) upload(gpu, graph, attributes.name as string, stored);
      for (const { attributes } of graph.inputs) {
        const name = attributes.name as string;
        given[name] = graph.elements.get(name) ?? HostTensor.from([]);
      }
    }
    const executable = await Executable.compile(gpu, {
      inputs: graphs.flatMap(({ inputs }) => inputs),
      outputs: Object.fromEntries(outputs.map((value, index) => [`${index}`, value])),
      parameters: (name) => stored.get(name) ?? missing(name),
    }, { label: "random graphs" });
    try {
      executable.run(given, SCALARS);
      const read = await executable.read(...outputs.map((_, index) => `${index}`));
      return new Map(outputs.map((value, index) => [value, read[index] ?? HostTensor.from([])]));
    } finally {
      executable.close();
    }
  } finally {
    for (const { buffer } of stored.values()) gpu.destroyBuffer(buffer);
  }
}

function missing(name: string): never {
  throw new Error(`No graph has the parameter "${name}"`);
}

function upload(gpu: GpuDevice, graph: RandomGraph, name: string, stored: Map<string, BufferRange>): void {
  const bytes = graph.elements.get(name)?.bytes ?? new Uint8Array(0);
  const size = Math.max(4, Math.ceil(bytes.byteLength / 4) * 4);
  const { COPY_DST, COPY_SRC, STORAGE } = BufferUsage;
  const buffer = gpu.createBuffer(name, size, COPY_DST | COPY_SRC | STORAGE);
  stored.set(name, { buffer, offset: 0, size });
  if (bytes.byteLength > 0) gpu.write(buffer, 0, bytes);
}

function described(
  graph: RandomGraph,
  output: number,
  element: number,
  is: number | undefined,
  bound: Enclosure | undefined,
): string {
  const named = Object.is(is, -0) ? "-0" : `${is}`;
  const { lo = NaN, hi = NaN, nan = false } = bound ?? {};
  const expected = lo > hi
    ? "NaN"
    : `${Object.is(lo, -0) ? "-0" : lo} to ${Object.is(hi, -0) ? "-0" : hi}${nan ? " or NaN" : ""}`;
  const again = `--seed=${graph.seed} --graph=${graph.index}`;
  return `graph ${graph.index} of seed ${graph.seed} (${again}): output ${output}, element ${element} is ${named}, ` +
    `expected ${expected}\n${listed(graph.outputs.slice(output, output + 1))}`;
}
