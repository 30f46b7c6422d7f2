import { readFileSync } from "node:fs";
import { Buffer } from "node:buffer";
import { dropout, linear, relu, sequential, tanh } from "../../../src/nn/nn.ts";
import { stopGradient } from "../../../src/graph/ops/views.ts";
import { crossEntropy } from "../../../src/nn/losses/cross_entropy.ts";
import { mse } from "../../../src/nn/losses/mse.ts";
import { adamw, cosineDecay, sgd } from "../../../src/nn/optim/optim.ts";
import type { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import type { AutoSaveOptions } from "../../../src/train/saves/auto_save_options.ts";
import { DataLoader, type DataLoaderOptions } from "../../../src/data/data_loader.ts";
import type { Trainer, TrainerOptions } from "../../../src/train/trainer.ts";

/** A run of which a checkpoint is kept for ever. Its name is that of the files. */
export interface TrainerGolden {
  readonly name: string;
  /** Made anew for each process: a trainer shares nothing with the one before. */
  readonly options: () => TrainerOptions;
  readonly autoSave: AutoSaveOptions;
  /** Whether each component of the store has a file of its own, in the folder `parts`. */
  readonly hasParts?: boolean;
  /** Epochs that it trains before the checkpoint is taken from where it was saved. */
  readonly epochs: number;
  /** The step that is saved by hand, under {@link TrainerGolden.tag}. Unless given, automatic saving makes that tag. */
  readonly savedAtStep?: number;
  readonly tag: string;
  /** Until when it is trained on, to see that it goes the way that it went. */
  readonly epochsAfterwards: number;
}

/** What a checkpoint is known to hold, from before it was written. */
export interface GoldenRun {
  readonly tag: string;
  /** Names of its other files, in the folder `parts`. */
  readonly parts?: readonly string[];
  readonly step: number;
  readonly epoch: number;
  readonly loader: { readonly epoch: number; readonly position: number };
  readonly losses: readonly number[];
  readonly epochs: readonly unknown[];
  readonly measured: Readonly<Record<string, number>>;
  /** Bytes as hexadecimal text, by name. */
  readonly tensors: Readonly<Record<string, string>>;
  /** Losses of the steps that followed it in the same process. */
  readonly lossesAfterwards: readonly number[];
}

/** The folder of the golden checkpoints. */
export const GOLDEN_FOLDER: URL = new URL("./", import.meta.url);

/** Where the files of a golden run are. */
export function goldenPath(name: string, extension: "cairn" | "json"): URL {
  return new URL(`${name}.${extension}`, GOLDEN_FOLDER);
}

/** Where a part of a golden checkpoint is. */
export function goldenPart(fileName: string): URL {
  return new URL(`parts/${fileName}`, GOLDEN_FOLDER);
}

/** What the JSON beside a checkpoint says of it. */
export function goldenRun(name: string): GoldenRun {
  return JSON.parse(readFileSync(goldenPath(name, "json"), "utf8"));
}

/** The tensors of a store as hexadecimal text. */
export async function hexOf(store: TensorStore): Promise<Record<string, string>> {
  const read = await store.read(store.tensors().map(({ name }) => name));
  return Object.fromEntries(
    [...read].map(([name, { bytes }]) => [name, Buffer.from(bytes).toString("hex")]),
  );
}

/** The losses of `trainer` as the numbers that they are in JSON. */
export function lossesOf(trainer: Trainer): number[] {
  return [...trainer.history.loss];
}

const FEATURES = 2;
const CLASSES = 3;

/** Numbers from -0.5 to 0.5 that need no generator: the same in every version of anything. */
const spread = (index: number): number => (index * 7919 % 1009) / 1009 - 0.5;

/** Points around three corners, with their classes. */
function corners(count: number, options: DataLoaderOptions): DataLoader {
  const labels = Uint32Array.from({ length: count }, (_, row) => row % CLASSES);
  const inputs = Float32Array.from(
    { length: count * FEATURES },
    (_, i) => Number(i % FEATURES === (labels[Math.floor(i / FEATURES)] ?? 0)) + spread(i),
  );
  return DataLoader.from({
    inputs: HostTensor.from(inputs, [count, FEATURES]),
    labels: HostTensor.from(labels, [count]),
  }, options);
}

/** Points on a plane, with their heights. */
function heights(count: number, options: DataLoaderOptions): DataLoader {
  const inputs = Float32Array.from({ length: count * FEATURES }, (_, i) => spread(i));
  const labels = Float32Array.from({ length: count }, (_, row) => 2 * spread(2 * row) - spread(2 * row + 1));
  return DataLoader.from({
    inputs: HostTensor.from(inputs, [count, FEATURES]),
    labels: HostTensor.from(labels, [count, 1]),
  }, options);
}

const classifier = (): Pick<TrainerOptions, "model" | "loss"> => ({
  model: sequential(linear(FEATURES, 5), relu(), linear(5, CLASSES)),
  loss: crossEntropy(),
});

const regression = (): Pick<TrainerOptions, "model" | "loss"> => ({
  model: linear(FEATURES, 1),
  loss: mse(),
});

/** One layer that is called twice, and so is the same weights twice. */
function repeated(): TrainerOptions["model"] {
  const [inner, outer] = [linear(FEATURES, FEATURES), linear(FEATURES, 1)];
  return (x, scope) => {
    const shared = scope.child("shared");
    return outer(inner(tanh()(inner(x, shared), scope), shared), scope.child("head"));
  };
}

/** A layer that no gradient reaches, below one that is trained. */
function frozenBelow(): TrainerOptions["model"] {
  const [frozen, trained] = [linear(FEATURES, 4), linear(4, 1)];
  return (x, scope) => trained(stopGradient(frozen(x, scope.child("frozen"))), scope.child("trained"));
}

/** The golden runs. One is only ever added. */
export const TRAINER_GOLDENS: readonly TrainerGolden[] = [
  {
    // Three batches of 4 an epoch and one example left over.
    name: "adamw_dropout_shuffled_mid_epoch",
    options: () => ({
      model: sequential(linear(FEATURES, 5), tanh(), dropout(0.25), linear(5, CLASSES)),
      loss: crossEntropy(),
      optimizer: adamw({ learningRate: cosineDecay(0.05, 30), weightDecay: 0.01 }),
      data: corners(13, { batchSize: 4, shuffle: true }),
      seed: 11,
    }),
    autoSave: { everySteps: 5, keep: { last: 4 } },
    epochs: 2,
    tag: "step-00000005",
    epochsAfterwards: 4,
  },
  {
    name: "sgd_momentum_end_of_epoch",
    options: () => ({
      ...classifier(),
      optimizer: sgd({ learningRate: 0.1, momentum: 0.9, weightDecay: 1e-3 }),
      data: corners(12, { batchSize: 4 }),
    }),
    autoSave: { interval: 1 },
    epochs: 2,
    tag: "model_epoch02",
    epochsAfterwards: 4,
  },
  {
    name: "validated_with_all_settings",
    options: () => ({
      ...classifier(),
      optimizer: adamw({ learningRate: 0.05 }),
      data: corners(12, { batchSize: 4, shuffle: true }),
      validation: corners(7, { batchSize: 4 }),
      seed: 3,
    }),
    autoSave: {
      interval: 1,
      everySteps: 2,
      name: "digits-{epoch:02d}-{val_loss:.4f}",
      stepName: "at-{step}",
      keep: { last: 2, best: "val_loss" },
      overwrite: true,
      saveOnLastEpoch: false,
      modelCode: { module: "model.ts", source: "export const model = linear(2, 1);\n" },
    },
    epochs: 3,
    tag: "digits-03-1.0053",
    epochsAfterwards: 5,
  },
  {
    name: "end_of_epoch_not_yet_measured",
    options: () => ({
      ...classifier(),
      optimizer: adamw({ learningRate: 0.05 }),
      data: corners(12, { batchSize: 4, shuffle: true }),
      validation: corners(7, { batchSize: 4 }),
    }),
    autoSave: { interval: 5 },
    epochs: 2,
    savedAtStep: 3,
    tag: "by-hand",
    epochsAfterwards: 2,
  },
  {
    name: "seed_of_64_bits_plain_sgd",
    options: () => ({
      ...regression(),
      optimizer: sgd({ learningRate: 0.1 }),
      data: heights(9, { batchSize: 3, shuffle: true }),
      seed: 0xfedc_ba98_7654_3210n,
    }),
    autoSave: { everySteps: 4 },
    epochs: 2,
    tag: "step-00000004",
    epochsAfterwards: 4,
  },
  {
    // So few examples that every order is equally likely from the next version of the order on.
    name: "five_examples_shuffled",
    options: () => ({
      ...regression(),
      optimizer: adamw({ learningRate: 0.05 }),
      data: heights(5, { batchSize: 1, shuffle: true }),
      seed: 7,
    }),
    autoSave: { everySteps: 7 },
    epochs: 2,
    tag: "step-00000007",
    epochsAfterwards: 4,
  },
  {
    name: "loader_with_its_own_seed",
    options: () => ({
      ...regression(),
      optimizer: sgd({ learningRate: 0.1, momentum: 0.5 }),
      data: heights(40, { batchSize: 4, shuffle: true, seed: 99 }),
      seed: 1,
    }),
    autoSave: { everySteps: 13 },
    epochs: 2,
    tag: "step-00000013",
    epochsAfterwards: 3,
  },
  {
    // More steps than the ring of losses has places.
    name: "after_150_steps",
    options: () => ({
      ...regression(),
      optimizer: adamw({ learningRate: 0.01 }),
      data: heights(20, { batchSize: 2, shuffle: true }),
      seed: 5,
    }),
    autoSave: { interval: 15 },
    epochs: 15,
    tag: "model_epoch15",
    epochsAfterwards: 17,
  },
  {
    name: "saved_by_hand_elsewhere",
    options: () => ({
      ...regression(),
      optimizer: sgd({ learningRate: 0.1, momentum: 0.9 }),
      data: heights(12, { batchSize: 4 }),
    }),
    autoSave: { savePath: null },
    epochs: 2,
    savedAtStep: 4,
    tag: "by-hand",
    epochsAfterwards: 3,
  },
  {
    name: "one_layer_twice",
    options: () => ({
      model: repeated(),
      loss: mse(),
      optimizer: adamw({ learningRate: 0.05 }),
      data: heights(12, { batchSize: 4, shuffle: true }),
    }),
    autoSave: { everySteps: 4 },
    epochs: 2,
    tag: "step-00000004",
    epochsAfterwards: 4,
  },
  {
    // Without decay, which moved such weights in the first versions.
    name: "weights_that_no_gradient_reaches",
    options: () => ({
      model: frozenBelow(),
      loss: mse(),
      optimizer: adamw({ learningRate: 0.05, weightDecay: 0 }),
      data: heights(12, { batchSize: 4, shuffle: true }),
    }),
    autoSave: { everySteps: 4 },
    epochs: 2,
    tag: "step-00000004",
    epochsAfterwards: 4,
  },
  {
    name: "a_file_for_each_component",
    options: () => ({
      ...classifier(),
      optimizer: adamw({ learningRate: 0.05, weightDecay: 0.01 }),
      data: corners(13, { batchSize: 4, shuffle: true }),
      seed: 13,
    }),
    autoSave: { everySteps: 5 },
    hasParts: true,
    epochs: 2,
    tag: "step-00000005",
    epochsAfterwards: 4,
  },
];
