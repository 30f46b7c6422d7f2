import { CairnError } from "../base/errors.ts";
import type { BufferRange } from "./buffer_range.ts";
import { BufferUsage } from "./constants.ts";
import type { GpuDevice } from "./gpu_device.ts";

/** A dispatch with what it needs to run. */
export interface ReadyDispatch {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
}

/** Dispatches that one set of queries takes the times of: a set has at most 4096, two for each. */
const MOST_DISPATCHES = 2048;
const TIME_BYTES = 8;

/** Whether a device says how long its dispatches take. */
export function tellsTime({ features }: Pick<GpuDevice, "features">): boolean {
  return features.has("timestamp-query");
}

/**
 * Runs `dispatches`, each in a pass of its own, in one submit, and gives the milliseconds that each took on the GPU.
 * Many adapters round them, Dawn to 0.065 ms. Waits for the GPU.
 *
 * @param unchanged What gets its bytes back in the same submit, from a copy that is made for it.
 * @throws CairnError `unsupported` where {@link tellsTime} says no, `out_of_memory`.
 */
export async function timeDispatches(
  gpu: GpuDevice,
  dispatches: readonly ReadyDispatch[],
  unchanged: readonly BufferRange[],
): Promise<number[]> {
  if (!tellsTime(gpu)) {
    throw new CairnError(
      "unsupported",
      `The adapter "${gpu.adapterName}" does not tell how long its kernels take (it has no timestamp-query)`,
    );
  }
  const made: GPUBuffer[] = [];
  const create = (label: string, byteLength: number, usage: number): GPUBuffer => {
    const buffer = gpu.createBuffer(label, byteLength, usage | BufferUsage.COPY_SRC);
    made.push(buffer);
    return buffer;
  };
  const sets: GPUQuerySet[] = [];
  try {
    const copies = await gpu.validated(
      "copy for taking times",
      () => unchanged.map(({ size }) => create("copy for taking times", size, BufferUsage.COPY_DST)),
    );
    const timesBytes = 2 * TIME_BYTES * Math.max(1, dispatches.length);
    const buffer = create("times", timesBytes, BufferUsage.QUERY_RESOLVE);
    const encoder = gpu.device.createCommandEncoder({ label: "times" });
    unchanged.forEach(({ buffer, offset, size }, index) => {
      const copy = copies[index];
      if (copy !== undefined) encoder.copyBufferToBuffer(buffer, offset, copy, 0, size);
    });
    for (let first = 0; first < dispatches.length; first += MOST_DISPATCHES) {
      const some = dispatches.slice(first, first + MOST_DISPATCHES);
      const querySet = gpu.device.createQuerySet({ type: "timestamp", count: 2 * some.length });
      sets.push(querySet);
      some.forEach((dispatch, index) => encodeTimed(encoder, dispatch, querySet, index));
      encoder.resolveQuerySet(querySet, 0, 2 * some.length, buffer, 2 * TIME_BYTES * first);
    }
    unchanged.forEach(({ buffer, offset, size }, index) => {
      const copy = copies[index];
      if (copy !== undefined) encoder.copyBufferToBuffer(copy, 0, buffer, offset, size);
    });
    gpu.submit(encoder);
    const [bytes = new Uint8Array()] = await gpu.read([{ buffer, offset: 0, size: buffer.size }]);
    const times = new BigUint64Array(bytes.slice().buffer);
    return dispatches.map((_, index) =>
      Number((times[2 * index + 1] ?? 0n) - (times[2 * index] ?? 0n)) / 1e6
    );
  } finally {
    for (const set of sets) set.destroy();
    for (const each of made) gpu.destroyBuffer(each);
  }
}

function encodeTimed(
  encoder: GPUCommandEncoder,
  { pipeline, bindGroup, workgroups }: ReadyDispatch,
  querySet: GPUQuerySet,
  index: number,
): void {
  const pass = encoder.beginComputePass({
    timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * index, endOfPassWriteIndex: 2 * index + 1 },
  });
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(...workgroups);
  pass.end();
}
