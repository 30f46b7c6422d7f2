/** What is trained, as Cairn has it. */
import type { Dataset } from "../../src/data/data_loader.ts";
import { constant } from "../../src/graph/ops.ts";
import type { Initializer } from "../../src/nn/initializers.ts";
import * as nn from "../../src/nn/nn.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { elementCount } from "../../src/tensor/shape.ts";
import type { TensorStore } from "../../src/tensor/tensor_store.ts";
import { numbers } from "../peers/contender.mjs";
import {
  type CnnJob,
  type FirstValue,
  firstWeights,
  type LstmJob,
  type MlpJob,
  type TrainingJob,
  type TransformerJob,
} from "./jobs.ts";

/** A model, its one batch, and which of its weights are compared. */
export interface BenchModel {
  readonly model: nn.Layer;
  readonly batch: Dataset;
  readonly resultsOf: (store: TensorStore) => Promise<number[]>;
}

/** The model of a job. */
export function modelOf(job: TrainingJob): BenchModel {
  switch (job.kind) {
    case "mlp":
      return mlp(job);
    case "lstm":
      return lstm(job);
    case "cnn":
      return cnn(job);
    case "transformer":
      return transformer(job);
  }
}

function mlp({ sizes, batch }: MlpJob): BenchModel {
  const shapes = sizes.slice(1).map((outputs, index) => [sizes[index] ?? 0, outputs] as const);
  const layers = shapes.flatMap(([inputs, outputs], index) => {
    const weightInitializer = weightsOfLayer(index, inputs, outputs);
    const linear = nn.linear(inputs, outputs, { weightInitializer, biasInitializer: nn.zeros() });
    return index < shapes.length - 1 ? [linear, nn.relu()] : [linear];
  });
  const [inputs = 0] = sizes;
  return {
    model: nn.sequential(...layers),
    batch: {
      inputs: HostTensor.from(numbers(batch * inputs, 100), [batch, inputs]),
      labels: labelsOf([batch], sizes.at(-1) ?? 1),
    },
    resultsOf: (store) => transposedValuesOf(store, `model.${layers.length - 1}.weight`),
  };
}

function lstm({ inputs, hidden, time, classes, batch }: LstmJob): BenchModel {
  return {
    model: nn.sequential(
      nn.lstm(inputs, hidden, {
        bias: false,
        returns: "last",
        weightInitializer: weightsOfLayer(0, inputs, 4 * hidden),
        recurrentInitializer: weightsOfLayer(1, hidden, 4 * hidden),
      }),
      nn.linear(hidden, classes, {
        weightInitializer: weightsOfLayer(2, hidden, classes),
        biasInitializer: nn.zeros(),
      }),
    ),
    batch: {
      inputs: HostTensor.from(numbers(batch * time * inputs, 100), [batch, time, inputs]),
      labels: labelsOf([batch], classes),
    },
    // Of the gates: its gradient has gone through every step of time.
    resultsOf: (store) => transposedValuesOf(store, "model.0.weight_hh_l0"),
  };
}

function weightsOfLayer(index: number, inputs: number, outputs: number): Initializer {
  return (shape) => constant(HostTensor.from(firstWeights(index, inputs, outputs), shape));
}

function cnn({ batch, parameters }: CnnJob): BenchModel {
  const options = { weightInitializer: startingWith(parameters), biasInitializer: nn.zeros() };
  const conv = { ...options, padding: "same" } as const;
  return {
    model: nn.sequential(
      nn.sequential(nn.conv2d(1, 16, 3, conv), nn.relu(), nn.maxPool2d(2)),
      nn.sequential(nn.conv2d(16, 32, 3, conv), nn.relu(), nn.maxPool2d(2)),
      nn.sequential(nn.flatten(), nn.linear(32 * 7 * 7, 10, options)),
    ),
    batch: {
      inputs: HostTensor.from(numbers(batch * 784, 100), [batch, 1, 28, 28]),
      labels: labelsOf([batch], 10),
    },
    resultsOf: (store) => valuesOf(store, "model.1.0.weight"),
  };
}

function transformer(job: TransformerJob): BenchModel {
  const { blocks, width, heads, context, vocabulary, batch, parameters } = job;
  const weightInitializer = startingWith(parameters);
  const options = { weightInitializer, biasInitializer: nn.zeros() };
  const block = { ...options, causal: true, activation: nn.relu() };
  const tokens = numbers(batch * context, 100).map((value) => Math.floor((value + 0.5) * vocabulary));
  return {
    model: nn.sequential(
      nn.embedding(vocabulary, width, { weightInitializer }),
      nn.learnedPositions(context, width, { weightInitializer }),
      ...Array.from({ length: blocks }, () => nn.transformerBlock(width, heads, block)),
      nn.layerNorm(width),
      nn.linear(width, vocabulary, options),
    ),
    batch: {
      inputs: HostTensor.from(Uint32Array.from(tokens), [batch, context]),
      labels: labelsOf([batch, context], vocabulary),
    },
    resultsOf: (store) => valuesOf(store, "model.2.attention.query.weight"),
  };
}

/** The values of a list, by the number of a parameter in its model. */
function startingWith(parameters: readonly FirstValue[]): Initializer {
  return (shape, place) => {
    const { first } = parameters[place] ?? {};
    if (typeof first !== "number") throw new Error(`parameter ${place} of the list is no weight`);
    const values = numbers(elementCount(shape), place).map((value) => value * first);
    return constant(HostTensor.from(values, shape));
  };
}

function labelsOf(shape: readonly number[], classes: number): HostTensor {
  return HostTensor.from(Uint32Array.from({ length: elementCount(shape) }, (_, at) => at % classes), shape);
}

async function valuesOf(store: TensorStore, name: string): Promise<number[]> {
  const values = (await store.read([name])).get(name)?.toArray() ?? [];
  return Array.from(values, Number);
}

/** Of a weight `[outputs, inputs]`, as the others have it: `[inputs, outputs]`. */
async function transposedValuesOf(store: TensorStore, name: string): Promise<number[]> {
  const weight = (await store.read([name])).get(name);
  const [outputs = 0, inputs = 0] = weight?.shape ?? [];
  const values = weight?.toArray() ?? [];
  return Array.from(
    { length: inputs * outputs },
    (_, place) => Number(values[(place % outputs) * inputs + Math.floor(place / outputs)]),
  );
}
