/**
 * Files of the rest of the world: safetensors (single and sharded), NumPy's npy and npz, and PyTorch's zip checkpoints, which are
 * read without executing anything that is in them.
 *
 * @example
 * ```ts
 * import { FileStorage, HostTensor } from "@cairn-ml/cairn";
 * import { openSafetensors, saveSafetensors } from "@cairn-ml/cairn/exchange";
 *
 * const models = await FileStorage.open("models");
 * const weight = HostTensor.from([1, 2, 3, 4, 5, 6], [2, 3], "f32");
 * await saveSafetensors(models, "model.safetensors", { weight }, { overwrite: true });
 *
 * const file = await openSafetensors(models, "model.safetensors");
 * for (const name of file.names()) console.log(name, (await file.read(name)).shape);
 * await file.close();
 * ```
 *
 * @module
 */
export { openSource } from "./src/checkpoint/file/storage_source.ts";
export { tensorsOfContainer, tensorsOfFile } from "./src/exchange/convert.ts";
export { readNpy, writeNpy } from "./src/exchange/numpy/npy.ts";
export {
  type NpzFile,
  type NpzOptions,
  type NpzReport,
  readNpz,
  writeNpz,
} from "./src/exchange/numpy/npz.ts";
export { OpaqueValue } from "./src/exchange/opaque_value.ts";
export { ComplexNumber, PickleOpaque } from "./src/exchange/torch/pickle_values.ts";
export type { StridedView } from "./src/exchange/strided.ts";
export { openSafetensors } from "./src/exchange/safetensors/open_safetensors.ts";
export type { OutgoingTensor, TensorsToWrite } from "./src/exchange/outgoing.ts";
export { readSafetensors, type SafetensorsFile } from "./src/exchange/safetensors/read_safetensors.ts";
export { readTorch, type TorchFile } from "./src/exchange/torch/read_torch.ts";
export {
  type SavedSafetensors,
  saveSafetensors,
  type SaveSafetensorsOptions,
} from "./src/exchange/safetensors/save_safetensors.ts";
export type { ExchangeReadOptions, ForeignTensor, TensorFile } from "./src/exchange/tensor_file.ts";
export type { TorchState } from "./src/exchange/torch/torch_state.ts";
export { type TorchDType, type TorchStorage, TorchTensor } from "./src/exchange/torch/torch_tensor.ts";
export { UnreadableTensor } from "./src/exchange/unreadable_tensor.ts";
export {
  type SafetensorsOptions,
  type SafetensorsReport,
  writeSafetensors,
} from "./src/exchange/safetensors/write_safetensors.ts";
export {
  type ExportedWeights,
  exportWeights,
  type ExportWeightsOptions,
} from "./src/checkpoint/compat/export_weights.ts";
