import { CairnError } from "../base/errors.ts";
import { mostBindingBytes } from "../gpu/binding_parts.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import type { LoweredStep } from "./lower_program.ts";

/**
 * Looks whether all that the dispatches bind can be bound.
 *
 * @throws CairnError `limit_exceeded` that names the kernel and the tensor of one that binds more at once.
 */
export function requireBindable(steps: readonly LoweredStep[], gpu: GpuDevice): void {
  const limit = mostBindingBytes(gpu);
  for (const { dispatch: { label, bindings }, text } of steps) {
    for (const binding of bindings) {
      if (binding === "scalars" || binding.byteLength <= limit) continue;
      const region = "region" in binding ? binding.region : binding;
      throw new CairnError(
        "limit_exceeded",
        `The kernel "${label}" of ${text} binds ${binding.byteLength} bytes of ${region.label} at once, and the ` +
          `adapter "${gpu.adapterName}" allows ${limit} (maxStorageBufferBindingSize); embeddings, matrix products, ` +
          "elementwise ops and optimisers over ranges take larger tensors in parts: use these, split the tensor, or " +
          "compute fewer examples at once",
        { details: { op: label, limit, value: binding.byteLength } },
      );
    }
  }
}
