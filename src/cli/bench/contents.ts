import type { Json } from "../print/json.ts";
import { openFile } from "../open/open_file.ts";
import { readWhole } from "../open/opened_file.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";

/** What is saved and loaded. */
export interface BenchContents {
  /** What it is, in words. */
  readonly what: string;
  readonly tensors: Readonly<Record<string, HostTensor>>;
  readonly byteLength: number;
}

/** Elements of one made-up tensor: 4 MiB, as a layer may have. */
const TENSOR_ELEMENTS = 1024 * 1024;

/**
 * Made-up weights: f32 of a normal distribution, each tensor with a spread of its own, as layers have after they were
 * initialised. Their lower bits are noise, so they are compressed less than a training's optimiser state is.
 */
export function madeUpContents(byteLength: number): BenchContents {
  const tensors: Record<string, HostTensor> = {};
  const random = normals(1);
  let bytes = 0;
  for (let at = 0; bytes < byteLength; at++) {
    const count = Math.min(TENSOR_ELEMENTS, Math.ceil((byteLength - bytes) / 4));
    const spread = 0.02 * (1 + at % 5);
    tensors[`layer.${at}`] = HostTensor.from(Float32Array.from({ length: count }, () => spread * random()), [
      count,
    ]);
    bytes += 4 * count;
  }
  return { what: "made-up weights, f32 of a normal distribution", tensors, byteLength: bytes };
}

/** The tensors of a file, all of them in memory; those that cannot be read are left out. */
export async function contentsOfFile(location: string): Promise<BenchContents> {
  const file = await openFile(location);
  try {
    const tensors: Record<string, HostTensor> = {};
    let byteLength = 0;
    for (const tensor of await file.list()) {
      const { name, dtype, shape, aliasOf } = tensor;
      if (dtype === undefined || aliasOf !== undefined) continue;
      tensors[name] = HostTensor.fromBytes(await readWhole(file, tensor), dtype, shape);
      byteLength += tensor.byteLength;
    }
    return { what: file.label, tensors, byteLength };
  } finally {
    await file.close();
  }
}

/** What is said of contents in JSON. */
export function contentsJson({ what, tensors, byteLength }: BenchContents): { readonly [key: string]: Json } {
  return { what, tensors: Object.keys(tensors).length, byteLength };
}

/** Numbers of a normal distribution by Box and Muller, the same in every run. */
function normals(seed: number): () => number {
  let state = seed;
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 1) / 4294967297;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
