/**
 * What training runs on: devices, their buffers and pipelines, and programs of values that are compiled for them. A
 * `Trainer` does all of this by itself.
 *
 * @example
 * ```ts
 * import { ops } from "@cairn-ml/cairn";
 * import { Executable, GpuDevice } from "@cairn-ml/cairn/gpu";
 *
 * const gpu = await GpuDevice.open();
 * const x = ops.input("x", "f32", [2, 2]);
 * const executable = await Executable.compile(gpu, {
 *   inputs: [x],
 *   outputs: { squares: ops.square(x) },
 *   parameters: (name) => {
 *     throw new TypeError(`This program has no parameter ${name}`);
 *   },
 * });
 * executable.run({ x: Float32Array.of(1, 2, 3, 4) });
 * const [squares] = await executable.read("squares");
 * console.log(squares?.toArray()); // [1, 4, 9, 16]
 *
 * executable.close();
 * await gpu.close();
 * ```
 *
 * @module
 */
export type { BufferRange } from "../gpu/buffer_range.ts";
export type { PipelineSpec } from "../gpu/compute_pipeline.ts";
export type { Dispatch } from "../gpu/dispatch.ts";
export type { GpuOptions, GpuProvider } from "../gpu/find_gpu.ts";
export { type GpuCounters, GpuDevice } from "../gpu/gpu_device.ts";
export type { GpuHost, RuntimeName } from "../gpu/host.ts";
export type { HostValue, HostValues, NumericArray } from "../tensor/host_values.ts";
export type { TensorLike } from "../tensor/tensor_like.ts";
export type { Slab, TensorGroup } from "../tensor/tensor_group.ts";
export type { SlabOptions, TensorStoreStats } from "../tensor/tensor_store.ts";
export type { StepScalars } from "../kernels/step_scalars.ts";
export type { RawCut } from "../gpu_codec/levels_sources.ts";
export { gradients } from "../graph/autodiff.ts";
export {
  type CompileOptions,
  Executable,
  type ExecutableStats,
  type OutputCopy,
} from "../graph/executable.ts";
export type { Program, Store, Update, UpdateBinding, UpdateValues } from "../graph/program.ts";
export type { ProgramInput } from "../graph/program_inputs.ts";
export type { Attributes } from "../graph/value.ts";
