import type { GpuDevice } from "./gpu_device.ts";
import type { Dispatch } from "./dispatch.ts";

/**
 * Compiles what has to be, and submits the dispatches in their order, in one pass.
 *
 * @param changed The buffers that they write to; see `GpuDevice.changesOf`.
 */
export async function submitDispatches(
  gpu: GpuDevice,
  label: string,
  dispatches: readonly Dispatch[],
  changed: readonly GPUBuffer[],
): Promise<void> {
  const pipelines = await Promise.all(dispatches.map((dispatch) => gpu.pipeline(dispatch)));
  await gpu.validated(label, () => {
    const encoder = gpu.device.createCommandEncoder({ label });
    const pass = encoder.beginComputePass({ label });
    for (const [index, { label, bindings, workgroups }] of dispatches.entries()) {
      const pipeline = pipelines[index];
      if (pipeline === undefined || workgroups.includes(0)) continue;
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, gpu.bindGroup(label, pipeline, bindings));
      pass.dispatchWorkgroups(...workgroups);
    }
    pass.end();
    gpu.submit(encoder, changed);
  });
}
