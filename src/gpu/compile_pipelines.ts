import { nextTurn } from "../base/event_loop.ts";
import type { WorkProgress } from "../base/work.ts";
import { pipelineKey, type PipelineSpec } from "./compute_pipeline.ts";
import type { GpuDevice } from "./gpu_device.ts";

/** What is told of kernels that are being compiled: how many are done, and of how many. */
export type CompileListener = (progress: WorkProgress) => void;

/**
 * The pipelines of `specs`, in their order; equal ones are compiled once. They are compiled beside one another. Where a
 * runtime compiles within the call, as Deno's own WebGPU does, it is one after the other, and the event loop runs in
 * between.
 *
 * @throws the error of the first one that cannot be compiled; see `GpuDevice.pipeline`.
 */
export async function compilePipelines(
  gpu: GpuDevice,
  specs: readonly PipelineSpec[],
  onCompile: CompileListener = () => {},
): Promise<GPUComputePipeline[]> {
  const keys = specs.map(pipelineKey);
  const distinct = new Map<string | undefined, PipelineSpec>();
  // The first one of equals: it gives errors their label.
  specs.forEach((spec, index) => distinct.has(keys[index]) || distinct.set(keys[index], spec));
  const total = distinct.size;
  let done = 0;
  const compile = async (spec: PipelineSpec): Promise<GPUComputePipeline> => {
    const pipeline = await gpu.pipeline(spec);
    onCompile({ done: ++done, total });
    return pipeline;
  };
  if (total > 0) onCompile({ done, total });
  const made = new Map<string | undefined, GPUComputePipeline>();
  if (gpu.hasBlockingFences) {
    for (const [key, spec] of distinct) {
      if (!gpu.hasPipeline(spec)) await nextTurn();
      made.set(key, await compile(spec));
    }
  } else {
    const compiling = [...distinct].map(async ([key, spec]) => made.set(key, await compile(spec)));
    // Until all of them are settled: who hears of an error may close the device.
    for (const outcome of await Promise.allSettled(compiling)) {
      if (outcome.status === "rejected") throw outcome.reason;
    }
  }
  return keys.map((key) => {
    const pipeline = made.get(key);
    if (pipeline === undefined) throw new RangeError("A pipeline was not compiled");
    return pipeline;
  });
}

/**
 * Listeners for several programs that are compiled at once, each of which gets one; `listener` is told of all of them
 * together.
 */
export function sharedListener(listener: CompileListener | undefined): () => CompileListener | undefined {
  const parts: WorkProgress[] = [];
  return () => {
    if (listener === undefined) return undefined;
    const index = parts.push({ done: 0, total: 0 }) - 1;
    return (progress) => {
      parts[index] = progress;
      const sum = (of: (part: WorkProgress) => number): number =>
        parts.reduce((all, part) => all + of(part), 0);
      listener({ done: sum(({ done }) => done), total: sum(({ total }) => total) });
    };
  };
}
