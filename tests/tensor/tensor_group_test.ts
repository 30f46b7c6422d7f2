import { describe, expect, test } from "bun:test";
import type { TensorSpec } from "../../src/container/format/layout.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { TensorGroup } from "../../src/tensor/tensor_group.ts";

/** A GPU with memory for so many buffers. */
function gpuWithRoomFor(buffers: number): { gpu: GpuDevice; live: string[] } {
  const live: string[] = [];
  const gpu = {
    limits: { maxBufferSize: 1 << 20, maxStorageBufferBindingSize: 1 << 20 },
    createBuffer(label: string, size: number): { label: string; size: number } {
      if (live.length === buffers) throw new Error(`no room for ${label}`);
      live.push(label);
      return { label, size };
    },
    destroyBuffer: ({ label }: GPUBuffer) => void live.splice(live.indexOf(label), 1),
  };
  return { gpu: gpu as unknown as GpuDevice, live };
}

const SPECS: TensorSpec[] = [
  { name: "a", dtype: "f32", shape: [64] },
  { name: "b", dtype: "u8", shape: [3, 0] },
  { name: "c", dtype: "f32", shape: [64] },
  { name: "tied", dtype: "f32", shape: [64], aliasOf: "a" },
];

describe("TensorGroup", () => {
  test("leaves no slab behind when the GPU has no room for the last one", () => {
    const { gpu, live } = gpuWithRoomFor(1);
    expect(() => TensorGroup.allocate(gpu, "model", SPECS, 256)).toThrow("no room for model slab 1");
    expect(live).toEqual([]);
  });

  test("gives back the specs that it was made of", () => {
    const group = TensorGroup.allocate(gpuWithRoomFor(9).gpu, "optimizer.m", SPECS, 256);
    expect(group.specs()).toEqual(SPECS);
    expect(group.byteLength).toBe(512);
  });

  test("gives an empty tensor an empty range inside its slab", () => {
    const group = TensorGroup.allocate(gpuWithRoomFor(9).gpu, "model", SPECS, 256);
    expect(group.tensors.map(({ slab, range }) => [slab, range.offset, range.size])).toEqual([
      [0, 0, 256],
      [0, 256, 0],
      [1, 0, 256],
      [0, 0, 256],
    ]);
  });
});
