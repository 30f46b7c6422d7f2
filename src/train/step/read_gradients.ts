import type { GpuDevice } from "../../gpu/gpu_device.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import type { StoredTensor } from "../../tensor/tensor_group.ts";

/**
 * The gradients called `names`, by default all. Waits for the GPU.
 *
 * @throws TypeError for a name that has none.
 */
export async function readGradients(
  gpu: GpuDevice,
  gradients: ReadonlyMap<string, StoredTensor>,
  names: readonly string[] = [...gradients.keys()],
): Promise<Map<string, HostTensor>> {
  const wanted = names.map((name) => {
    const tensor = gradients.get(name);
    if (tensor !== undefined) return [name, tensor] as const;
    throw new TypeError(
      `"${name}" has no gradient; there is one of ${
        [...gradients.keys()].map((each) => `"${each}"`).join(", ")
      }`,
    );
  });
  const read = await gpu.read(wanted.map(([, { range }]) => range));
  return new Map(wanted.map(([name, { dtype, shape }], index) => {
    return [name, HostTensor.fromBytes(read[index] ?? new Uint8Array(), dtype, shape)];
  }));
}
