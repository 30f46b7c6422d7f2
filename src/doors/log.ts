/**
 * Logs of a run: tables, lines of JSON, TensorBoard; and its curves as a picture. Each log is a callback. Where a run
 * goes on from a checkpoint, its logs do too, with no step twice and none missing.
 *
 * @example
 * ```ts
 * import { DataLoader, HostTensor, nn, optim, TensorStore, Trainer } from "@cairn-ml/cairn";
 * import { csvLog } from "@cairn-ml/cairn/log";
 * import { openStorage } from "@cairn-ml/cairn/storage";
 *
 * const store = await TensorStore.open();
 * const trainer = new Trainer(store, {
 *   model: nn.linear(1, 1),
 *   loss: nn.mse(),
 *   optimizer: optim.sgd({ learningRate: 0.1 }),
 *   data: DataLoader.from(
 *     { inputs: HostTensor.from([[1], [2]]), labels: HostTensor.from([[2], [4]]) },
 *     { batchSize: 2 },
 *   ),
 *   callbacks: [csvLog("memory:runs/a/log.csv")],
 * });
 * await trainer.train({ epochs: 3 });
 * console.log((await (await openStorage("memory:runs/a")).list("")).map(({ name }) => name)); // log.csv
 * await trainer.close();
 * await store.close();
 * ```
 *
 * @module
 */
export { csvLog } from "../train/log/csv_log.ts";
export { jsonlLog } from "../train/log/jsonl_log.ts";
export type { LogOptions } from "../train/log/log_options.ts";
export type { PlottedHistory, PlottedRecord } from "../train/show/curves.ts";
export { plot, type PlotOptions } from "../train/show/plot.ts";
export { tensorBoardLog } from "../train/log/tensorboard_log.ts";
