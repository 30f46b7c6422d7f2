import { alignUp } from "../../src/base/checked.ts";
import type { BufferRange } from "../../src/gpu/buffer_range.ts";
import { BufferUsage } from "../../src/gpu/constants.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import type { Dispatch } from "../../src/gpu/dispatch.ts";

/** An array on the host that stands for a binding. The same array is the same memory. */
export type HostArray = Float32Array | Uint32Array | Int32Array | Uint8Array | Uint16Array;

/**
 * Bytes before and behind each array that no kernel may change. Those behind are part of the binding: adapters drop
 * writes beyond a binding's end, which would hide a kernel that relies on it.
 */
const GUARD_BYTES = 256;
const GUARD_BYTE = 0xa5;

/**
 * Runs one dispatch on host arrays and gives the arrays of `read` back as the kernel left them.
 *
 * It runs the dispatch twice from the same start, and fails unless both runs give equal bits and leave the memory
 * around every array as it was. A dispatch without workgroups is not run, as executors do.
 */
export async function runDispatch<T extends HostArray[]>(
  gpu: GpuDevice,
  dispatch: Dispatch<HostArray>,
  read: readonly [...T],
): Promise<T> {
  if (dispatch.workgroups.includes(0)) return read.map((array) => array.slice()) as T;
  const pipeline = await gpu.pipeline(dispatch);
  const runs = [new Map<HostArray, BufferRange>(), new Map<HostArray, BufferRange>()];
  const buffers: GPUBuffer[] = [];
  try {
    const encoder = gpu.device.createCommandEncoder({ label: dispatch.label });
    for (const places of runs) {
      for (const array of new Set(dispatch.bindings)) places.set(array, upload(gpu, array, buffers));
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(
        0,
        gpu.bindGroup(dispatch.label, pipeline, boundRanges(dispatch, places)),
      );
      pass.dispatchWorkgroups(...dispatch.workgroups);
      pass.end();
    }
    gpu.submit(encoder);
    const ranges = runs.flatMap((places) => read.map((array) => withGuards(at(places, array))));
    const bytes = await gpu.read(ranges);
    const [first, second] = [bytes.slice(0, read.length), bytes.slice(read.length)];
    return read.map((array, index) => check(dispatch.label, array, first[index], second[index])) as T;
  } finally {
    for (const buffer of buffers) gpu.destroyBuffer(buffer);
  }
}

/** Uniform bindings are bound without the bytes behind: they are as long as the kernel says, and never written. */
function boundRanges(
  { code, bindings }: Dispatch<HostArray>,
  places: ReadonlyMap<HostArray, BufferRange>,
): BufferRange[] {
  return bindings.map((array, index) => {
    const range = at(places, array);
    const isUniform = code.includes(`@binding(${index}) var<uniform>`);
    return isUniform ? { ...range, size: range.size - GUARD_BYTES } : range;
  });
}

function at(places: ReadonlyMap<HostArray, BufferRange>, array: HostArray): BufferRange {
  const range = places.get(array);
  if (range === undefined) throw new Error("Only arrays that the dispatch binds can be read");
  return range;
}

function upload(gpu: GpuDevice, array: HostArray, buffers: GPUBuffer[]): BufferRange {
  const size = alignUp(array.byteLength, 4);
  const bytes = new Uint8Array(size + 2 * GUARD_BYTES).fill(GUARD_BYTE);
  bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), GUARD_BYTES);
  const { COPY_DST, COPY_SRC, STORAGE, UNIFORM } = BufferUsage;
  const buffer = gpu.createBuffer("test", bytes.byteLength, COPY_DST | COPY_SRC | STORAGE | UNIFORM);
  buffers.push(buffer);
  gpu.write(buffer, 0, bytes);
  return { buffer, offset: GUARD_BYTES, size: size + GUARD_BYTES };
}

function withGuards({ buffer, offset, size }: BufferRange): BufferRange {
  return { buffer, offset: offset - GUARD_BYTES, size: size + GUARD_BYTES };
}

function check<T extends HostArray>(label: string, like: T, first?: Uint8Array, second?: Uint8Array): T {
  if (first === undefined || second === undefined) throw new Error(`${label}: nothing was read`);
  const difference = first.findIndex((byte, index) => byte !== second[index]);
  if (difference >= 0) {
    throw new Error(`${label}: two runs differ, first at byte ${difference - GUARD_BYTES}`);
  }
  const end = GUARD_BYTES + like.byteLength;
  const isGuard = (_: number, index: number) => index < GUARD_BYTES || index >= end;
  const damaged = first.findIndex((byte, index) => isGuard(byte, index) && byte !== GUARD_BYTE);
  if (damaged >= 0) {
    throw new Error(`${label}: wrote outside of its array, at byte ${damaged - GUARD_BYTES}`);
  }
  const bytes = first.slice(GUARD_BYTES, end);
  const ArrayType = like.constructor as new (buffer: ArrayBuffer) => T;
  return new ArrayType(bytes.buffer as ArrayBuffer);
}
