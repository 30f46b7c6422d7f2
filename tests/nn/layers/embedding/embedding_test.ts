import { describe, expect, test } from "bun:test";
import { sum } from "../../../../src/graph/ops/sum.ts";
import {
  crossEntropy,
  embedding,
  type Layer,
  learnedPositions,
  linear,
  normal,
  ones,
  sequential,
  tanh,
} from "../../../../src/nn/nn.ts";
import { sgd } from "../../../../src/nn/optim/optim.ts";
import { DataLoader } from "../../../../src/data/data_loader.ts";
import { HostTensor } from "../../../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../../../src/tensor/tensor_store.ts";
import { Trainer } from "../../../../src/train/trainer.ts";
import { gpuTest } from "../../../helpers/gpu.ts";
import { thrownBy } from "../../../helpers/thrown.ts";
import { forward } from "../../forward.ts";
import { checkLayer, shapesOf } from "../check_layer.ts";
import { checkTraining } from "../check_training.ts";
import { rowOf } from "./rows.ts";

const [VOCABULARY, DIM] = [7, 5];
const toIndex = (x: number): number => Math.floor(x * VOCABULARY);

const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, at) => sum + value * (b[at] ?? NaN), 0);

/** The score of each row of `weight` for `x`. */
function scores(weight: readonly number[], x: readonly number[]): number[] {
  return Array.from({ length: VOCABULARY }, (_, index) => dot(x, rowOf(weight, DIM, index)));
}

describe("LA-04 embedding", () => {
  for (const dtype of ["u8", "i32", "u32"] as const) {
    gpuTest(`LA-04 embedding of ${dtype} gives rows, whose gradients add up`, async (gpu) => {
      await checkLayer(gpu, {
        layer: embedding(VOCABULARY, DIM),
        shape: [3, 9],
        dtype,
        elementOf: toIndex,
        parameters: { weight: [VOCABULARY, DIM] },
        outputShape: [3, 9, DIM],
        reference: (x, { weight = [] }) => x.flatMap((index) => rowOf(weight, DIM, index)),
      });
    });
  }

  gpuTest("LA-04 the row of the padding index has no gradient", async (gpu) => {
    // What padding gives does not depend on the row that is moved for a slope: it is the first one for ever.
    let padding: readonly number[] | undefined;
    await checkLayer(gpu, {
      layer: embedding(VOCABULARY, DIM, { paddingIndex: 2 }),
      shape: [3, 9],
      dtype: "u32",
      elementOf: toIndex,
      parameters: { weight: [VOCABULARY, DIM] },
      outputShape: [3, 9, DIM],
      reference: (x, { weight = [] }) => {
        padding ??= rowOf(weight, DIM, 2);
        return x.flatMap((index) => index === 2 ? padding ?? [] : rowOf(weight, DIM, index));
      },
    });
  });

  gpuTest("LA-04 rows begin normal with deviation 1, that of the padding index as zeros", async (gpu) => {
    const [rows, dim] = [100, 40];
    const indices = HostTensor.from(Uint32Array.from({ length: rows }, (_, at) => at), [rows]);
    const weight = await forward(gpu, embedding(rows, dim, { paddingIndex: 31 }), indices);
    const others = weight.toSpliced(31 * dim, dim);
    const mean = others.reduce((sum, x) => sum + x, 0) / others.length;
    const variance = others.reduce((sum, x) => sum + (x - mean) ** 2, 0) / others.length;
    // Six deviations of a mean and of a variance of 3,960 numbers.
    expect(Math.abs(mean)).toBeLessThan(6 / Math.sqrt(others.length));
    expect(Math.abs(variance - 1)).toBeLessThan(6 * Math.sqrt(2 / others.length));
    expect(weight.slice(31 * dim, 32 * dim)).toEqual(Array(dim).fill(0));
    const given = embedding(3, 2, { paddingIndex: 0, weightInitializer: ones() });
    expect(await forward(gpu, given, HostTensor.from(Uint32Array.of(0, 1, 2), [3]))).toEqual(
      [0, 0, 1, 1, 1, 1],
    );
  });

  gpuTest(
    "LA-04 attend scores every row by the same weight, which has the gradients of both",
    async (gpu) => {
      const tokens = embedding(VOCABULARY, DIM);
      await checkLayer(gpu, {
        layer: sequential(tokens, tanh(), tokens.attend),
        shape: [3, 4],
        dtype: "u32",
        elementOf: toIndex,
        parameters: { "0.weight": [VOCABULARY, DIM] },
        outputShape: [3, 4, VOCABULARY],
        reference: (x, { "0.weight": weight = [] }) =>
          x.flatMap((index) => scores(weight, rowOf(weight, DIM, index).map(Math.tanh))),
      });
    },
  );

  gpuTest("LA-04 20 steps of a language model with tied weights are those of float64", async (gpu) => {
    const [batch, positions] = [4, 3];
    const drawn = (factor: number): number[] =>
      Array.from({ length: batch * positions }, (_, at) => (at * factor + at * at) % VOCABULARY);
    const [inputs, labels] = [drawn(3), drawn(5)];
    const tokens = embedding(VOCABULARY, DIM, { weightInitializer: normal(0, 0.5) });
    await checkTraining(gpu, {
      model: sequential(tokens, learnedPositions(positions, DIM), tanh(), tokens.attend),
      loss: crossEntropy(),
      inputs: HostTensor.from(Uint8Array.from(inputs), [batch, positions]),
      labels: HostTensor.from(Uint8Array.from(labels), [batch, positions]),
      learningRate: 0.1,
      reference: ({ "0.weight": weight = [], "1.weight": places = [] }) =>
        inputs.reduce((total, index, at) => {
          const place = rowOf(places, DIM, at % positions);
          const x = rowOf(weight, DIM, index).map((value, column) =>
            Math.tanh(value + (place[column] ?? NaN))
          );
          const logits = scores(weight, x);
          const sum = logits.reduce((exponentials, logit) => exponentials + Math.exp(logit), 0);
          return total + Math.log(sum) - (logits[labels[at] ?? NaN] ?? NaN);
        }, 0) / inputs.length,
    });
  });

  gpuTest("LA-04 an index that is no row is refused with the example and the index", async (gpu) => {
    const tokens = HostTensor.from(Int32Array.of(0, 1, 2, 3, 4, 5, 6, 7, 1, 2), [5, 2]);
    const labels = HostTensor.from(Float32Array.of(0, 0, 0, 0, 0), [5]);
    const store = TensorStore.on(gpu);
    const trainer = new Trainer(store, {
      model: (x, scope) => linear(2, 1)(embedding(VOCABULARY, 2)(x, scope.child("a")), scope.child("b")),
      loss: (output) => sum(output, { axes: [1, 2] }),
      optimizer: sgd({ learningRate: 0.1 }),
      data: DataLoader.from({ inputs: tokens, labels }, { batchSize: 2 }),
    });
    const expected = (index: number): string =>
      `is ${index}, and embedding takes whole numbers from 0 to ${VOCABULARY - 1}; correct the data`;
    try {
      const error = await thrownBy(() => trainer.train({ epochs: 1, progress: false }));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toContain(
        `The input of example 3 (example 1 of batch 1 of epoch 1) ${expected(7)}`,
      );
      const negative = HostTensor.from(Int32Array.of(0, 1, 2, -1), [2, 2]);
      expect((await thrownBy(() => trainer.predict(negative))).message).toContain(expected(-1));
    } finally {
      await trainer.close();
      await store.close();
    }
  });

  test("LA-04 attend finds the weight wherever it is, and refuses none, several and other widths", () => {
    const tokens = embedding(VOCABULARY, DIM);
    const inside: Layer = (x, scope) => tokens(x, scope.child("body").child("tokens"));
    expect(shapesOf((x, scope) => tokens.attend(inside(x, scope), scope.child("head")), [2, 3], "u32"))
      .toEqual({
        output: [2, 3, VOCABULARY],
        parameters: { "body.tokens.weight": [VOCABULARY, DIM] },
      });
    expect(() => shapesOf(sequential(tanh(), tokens.attend), [2, DIM])).toThrow(
      'embedding(7, 5).attend at "1": the model has not called this embedding before',
    );
    expect(() => shapesOf(sequential(embedding(VOCABULARY, DIM), tokens.attend), [2, 3], "u32")).toThrow(
      "the model has not called this embedding before",
    );
    const twice: Layer = (x, scope) => {
      tokens(x, scope.child("a"));
      return tokens.attend(tokens(x, scope.child("b")), scope);
    };
    expect(() => shapesOf(twice, [2, 3], "u32")).toThrow('has several weights, "a.weight" and "b.weight"');
    expect(() => shapesOf(sequential(tokens, linear(DIM, 4), tokens.attend), [2, 3], "u32")).toThrow(
      'embedding(7, 5).attend at "2": takes [batch, …, 5], found [2, 3, 4]',
    );
  });

  test("LA-04 what is no index, and a padding index that is no row, are refused", () => {
    expect(() => shapesOf(sequential(tanh(), embedding(VOCABULARY, DIM)), [2, 3])).toThrow(
      'embedding(7, 5) at "1" cannot take [2, 3]: embedding: indices are u32, i32 or u8, not f32',
    );
    expect(() => embedding(0, DIM)).toThrow("the vocabulary is a whole number from 1, found 0");
    expect(() => embedding(VOCABULARY, 1.5)).toThrow("the dimension is a whole number from 1, found 1.5");
    expect(() => embedding(VOCABULARY, DIM, { paddingIndex: 7 })).toThrow(
      "embedding(7, 5): paddingIndex is a whole number from 0 to 6, found 7",
    );
  });
});
