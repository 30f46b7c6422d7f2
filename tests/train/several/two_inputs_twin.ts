import type { Value } from "../../../src/graph/value.ts";
import { add } from "../../../src/graph/ops/arithmetic.ts";
import {
  accuracy,
  crossEntropy,
  type Layer,
  linear,
  lossByOutput,
  mae,
  metricsByOutput,
  mse,
} from "../../../src/nn/nn.ts";
import { sgd } from "../../../src/nn/optim/optim.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { DataLoader, type DataLoaderOptions } from "../../../src/data/data_loader.ts";
import type { TrainerOptions } from "../../../src/train/trainer.ts";
import { numbers } from "../fixtures.ts";

export const IMAGE = 4;
export const META = 3;
export const CLASSES = 3;
export const BOX = 2;
export const RATE = 0.1;
export const BOX_FACTOR = 0.5;

export type Inputs = { image: Value; meta: Value };
export type Outputs = { kind: Value; box: Value };
export type Labels = { kind: Value; box: Value };

/** Examples as numbers: of each part a row an example. */
export interface Examples {
  readonly count: number;
  readonly image: Float32Array;
  readonly meta: Float32Array;
  readonly kind: Uint32Array;
  readonly box: Float32Array;
}

export function examples(count: number, seed = 3): Examples {
  const random = numbers(seed);
  const draw = (width: number): Float32Array =>
    Float32Array.from({ length: count * width }, () => random() - 0.5);
  const [image, meta, box] = [draw(IMAGE), draw(META), draw(BOX)];
  return { count, image, meta, kind: Uint32Array.from({ length: count }, (_, row) => row % CLASSES), box };
}

type Named<T> = { inputs: { image: T; meta: T }; labels: { kind: T; box: T } };

export function tensorsOf({ count, image, meta, kind, box }: Examples): Named<HostTensor> {
  return {
    inputs: { image: HostTensor.from(image, [count, IMAGE]), meta: HostTensor.from(meta, [count, META]) },
    labels: { kind: HostTensor.from(kind, [count]), box: HostTensor.from(box, [count, BOX]) },
  };
}

export type Loader = DataLoader<Named<HostTensor>["inputs"], Named<HostTensor>["labels"]>;

export function loaderOf(all: Examples, options: DataLoaderOptions): Loader {
  return DataLoader.from(tensorsOf(all), options);
}

/** What kind an image with its meta is of, by two layers that are added up, and a box by the image alone. */
export const model: Layer<Inputs, Outputs> = ({ image, meta }, scope) => ({
  kind: add(
    linear(IMAGE, CLASSES)(image, scope.child("image")),
    linear(META, CLASSES, { bias: false })(meta, scope.child("meta")),
  ),
  box: linear(IMAGE, BOX)(image, scope.child("box")),
});

export function twoInputs(
  data: TrainerOptions["data"],
  overrides: Partial<TrainerOptions<Inputs, Outputs, Labels>> = {},
): TrainerOptions<Inputs, Outputs, Labels> {
  return {
    model,
    loss: lossByOutput({ kind: crossEntropy(), box: mse() }, { factors: { box: BOX_FACTOR } }),
    metrics: metricsByOutput({ kind: { accuracy: accuracy() }, box: { error: mae() } }),
    optimizer: sgd({ learningRate: RATE, momentum: 0.5 }),
    data,
    seed: 4,
    ...overrides,
  };
}

/** Weights in float64 by their names in the model. */
export type Weights = Record<string, Float64Array>;

/** What the model gives for example `row`: logits and a box. */
export function outputOf(all: Examples, weights: Weights, row: number): { kind: number[]; box: number[] } {
  const dot = (x: Float32Array, width: number, name: string, column: number): number => {
    let sum = 0;
    for (let k = 0; k < width; k++) {
      sum += (x[row * width + k] ?? NaN) * (weights[`${name}.weight`]?.[column * width + k] ?? NaN);
    }
    return sum;
  };
  const bias = (name: string, column: number): number => weights[`${name}.bias`]?.[column] ?? NaN;
  return {
    kind: Array.from(
      { length: CLASSES },
      (_, c) => dot(all.image, IMAGE, "image", c) + dot(all.meta, META, "meta", c) + bias("image", c),
    ),
    box: Array.from({ length: BOX }, (_, c) => dot(all.image, IMAGE, "box", c) + bias("box", c)),
  };
}

/** The means of both terms over the examples from `from` to before `to`, and their gradients. */
export function reference(
  all: Examples,
  weights: Weights,
  from: number,
  to: number,
): { kind: number; box: number; gradients: Weights } {
  const gradients = Object.fromEntries(
    Object.entries(weights).map(([name, { length }]) => [name, new Float64Array(length)]),
  );
  const addTo = (name: string, at: number, by: number): void => {
    const gradient = gradients[name];
    if (gradient !== undefined) gradient[at] = (gradient[at] ?? NaN) + by;
  };
  const count = to - from;
  let [kind, box] = [0, 0];
  const spread = (name: string, x: Float32Array, width: number, row: number, column: number, d: number) => {
    for (let k = 0; k < width; k++) {
      addTo(`${name}.weight`, column * width + k, d * (x[row * width + k] ?? NaN));
    }
    addTo(`${name}.bias`, column, d);
  };
  for (let row = from; row < to; row++) {
    const output = outputOf(all, weights, row);
    const label = all.kind[row] ?? NaN;
    const total = output.kind.reduce((sum, logit) => sum + Math.exp(logit), 0);
    kind += (Math.log(total) - (output.kind[label] ?? NaN)) / count;
    output.kind.forEach((logit, c) => {
      const d = (Math.exp(logit) / total - (c === label ? 1 : 0)) / count;
      spread("image", all.image, IMAGE, row, c, d);
      spread("meta", all.meta, META, row, c, d);
    });
    output.box.forEach((found, c) => {
      const error = found - (all.box[row * BOX + c] ?? NaN);
      box += error * error / BOX / count;
      spread("box", all.image, IMAGE, row, c, BOX_FACTOR * 2 * error / BOX / count);
    });
  }
  return { kind, box, gradients };
}
