/**
 * Files of the rest of the world: safetensors (single and sharded), NumPy's npy and npz, and PyTorch's zip
 * checkpoints, which are read without executing anything that is in them.
 *
 * @example
 * ```ts
 * import { HostTensor } from "@cairn-ml/cairn";
 * import { openSafetensors, saveSafetensors } from "@cairn-ml/cairn/exchange";
 * import { FileStorage } from "@cairn-ml/cairn/storage";
 *
 * const models = await FileStorage.open("models");
 * const weight = HostTensor.from([1, 2, 3, 4, 5, 6], [2, 3], "f32");
 * await saveSafetensors(models, "model.safetensors", { weight }, { overwrite: true });
 *
 * const file = await openSafetensors("models/model.safetensors"); // or https://…, which is read by ranges
 * for (const name of file.names()) console.log(name, (await file.read(name)).shape);
 * await file.close();
 * ```
 *
 * @module
 */
export {
  type ExportedWeights,
  exportWeights,
  type ExportWeightsOptions,
} from "../checkpoint/compat/export_weights.ts";
export { tensorsOfContainer, tensorsOfFile } from "../exchange/convert.ts";
export { readNpy, writeNpy } from "../exchange/numpy/npy.ts";
export { type NpzFile, type NpzOptions, type NpzReport, readNpz, writeNpz } from "../exchange/numpy/npz.ts";
export { OpaqueValue } from "../exchange/opaque_value.ts";
export type { OutgoingTensor, TensorsToWrite } from "../exchange/outgoing.ts";
export { openSafetensors } from "../exchange/safetensors/open_safetensors.ts";
export { readSafetensors, type SafetensorsFile } from "../exchange/safetensors/read_safetensors.ts";
export {
  type SavedSafetensors,
  saveSafetensors,
  type SaveSafetensorsOptions,
} from "../exchange/safetensors/save_safetensors.ts";
export {
  type SafetensorsOptions,
  type SafetensorsReport,
  writeSafetensors,
} from "../exchange/safetensors/write_safetensors.ts";
export type { StridedView } from "../exchange/strided.ts";
export type { ExchangeReadOptions, ForeignTensor, TensorFile } from "../exchange/tensor_file.ts";
export {
  ComplexNumber,
  type PickleDict,
  type PickleGlobal,
  type PickleObject,
  PickleOpaque,
  type PickleSet,
  type PickleValue,
} from "../exchange/torch/pickle_values.ts";
export { readTorch, type TorchFile } from "../exchange/torch/read_torch.ts";
export type { TorchState } from "../exchange/torch/torch_state.ts";
export {
  type TorchDType,
  type TorchStorage,
  TorchTensor,
  type TorchTensorProperties,
} from "../exchange/torch/torch_tensor.ts";
export { UnreadableTensor } from "../exchange/unreadable_tensor.ts";
export { writeCairn, type WriteCairnOptions, type WrittenCairn } from "../exchange/write_cairn.ts";
