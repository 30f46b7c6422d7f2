/**
 * What trains, without what opens and looks at checkpoints: the same names are in the main entry. For pages: with
 * `@cairn-ml/cairn/nn` and `@cairn-ml/cairn/optim`, a bundler leaves out what a page does not use, and what a `Trainer`
 * needs to save and to load becomes files that are fetched when it first does.
 *
 * @example
 * ```ts
 * import { DataLoader, HostTensor, TensorStore, Trainer } from "@cairn-ml/cairn/core";
 * import { crossEntropy, linear, relu, sequential } from "@cairn-ml/cairn/nn";
 * import { adamw } from "@cairn-ml/cairn/optim";
 *
 * const inputs = HostTensor.from([0, 0, 0, 1, 1, 0, 1, 1], [4, 2], "f32");
 * const labels = HostTensor.from([0, 1, 1, 0], [4], "u32");
 *
 * const store = await TensorStore.open();
 * const trainer = new Trainer(store, {
 *   model: sequential(linear(2, 16), relu(), linear(16, 2)),
 *   loss: crossEntropy(),
 *   optimizer: adamw({ learningRate: 0.05 }),
 *   data: DataLoader.from({ inputs, labels }, { batchSize: 4 }),
 *   seed: 1,
 * });
 * await trainer.train({ epochs: 200 });
 * console.log((await trainer.predict(inputs)).toArray());
 * await trainer.close();
 * await store.close();
 * ```
 *
 * @module
 */
export { CairnError } from "../base/errors.ts";
export { DataLoader } from "../data/data_loader.ts";
export { HostTensor } from "../tensor/host_tensor.ts";
export { TensorStore } from "../tensor/tensor_store.ts";
export { terminalProgress } from "../train/log/progress.ts";
export { Trainer } from "../train/trainer.ts";
