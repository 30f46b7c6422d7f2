import { describe, expect, test } from "bun:test";
import { cast } from "../../../src/graph/ops/cast.ts";
import { constant, input } from "../../../src/graph/ops/sources.ts";
import {
  type AttentionCallOptions,
  type Layer,
  multiHeadAttention,
  relu,
  Scope,
  sequential,
  tanh,
  transformerBlock,
} from "../../../src/nn/nn.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { forward } from "../forward.ts";
import { checkLayer, type Parameters, shapesOf } from "./check_layer.ts";

const [BATCH, POSITIONS, WIDTH, HEADS] = [2, 5, 8, 4];

type Matrix = readonly (readonly number[])[];
type Sees = (query: number, key: number, image: number) => boolean;

const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, at) => sum + value * (b[at] ?? NaN), 0);
const plus = (a: Matrix, b: Matrix): number[][] =>
  a.map((row, at) => row.map((value, column) => value + (b[at]?.[column] ?? NaN)));

function rowsOf(x: readonly number[], width: number): number[][] {
  return Array.from({ length: x.length / width }, (_, row) => x.slice(row * width, (row + 1) * width));
}

function projected(rows: Matrix, parameters: Parameters, name: string): number[][] {
  const bias = parameters[`${name}.bias`];
  const inputs = rows[0]?.length ?? 0;
  const weight = rowsOf(parameters[`${name}.weight`] ?? [], inputs);
  return rows.map((row) => weight.map((each, at) => dot(row, each) + (bias?.[at] ?? 0)));
}

/** Attention of one image, head by head and query by query. */
function attended(
  x: Matrix,
  context: Matrix,
  parameters: Parameters,
  prefix: string,
  keyHeads: number,
  sees: (query: number, key: number) => boolean,
): number[][] {
  const queries = projected(x, parameters, `${prefix}query`);
  const keys = projected(context, parameters, `${prefix}key`);
  const values = projected(context, parameters, `${prefix}value`);
  const size = WIDTH / HEADS;
  const joined = queries.map((row, query) =>
    Array.from({ length: HEADS }, (_, head) => {
      const keyHead = Math.floor(head / (HEADS / keyHeads));
      const part = (of: readonly number[], at: number): readonly number[] =>
        of.slice(at * size, (at + 1) * size);
      const weights = keys.map((key, at) =>
        sees(query, at) ? Math.exp(dot(part(row, head), part(key, keyHead)) / Math.sqrt(size)) : 0
      );
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      return Array.from(
        { length: size },
        (_, element) => dot(weights, values.map((value) => part(value, keyHead)[element] ?? NaN)) / total,
      );
    }).flat()
  );
  return projected(joined, parameters, `${prefix}output`);
}

/** `of` for each image, one after the other. */
function eachImage(x: readonly number[], of: (rows: Matrix, image: number) => Matrix): number[] {
  return Array.from({ length: BATCH }, (_, image) => {
    const size = POSITIONS * WIDTH;
    return of(rowsOf(x.slice(image * size, (image + 1) * size), WIDTH), image).flat();
  }).flat();
}

function projections(keyWidth: number, hasBias: boolean, prefix = ""): Record<string, readonly number[]> {
  const outputs = { query: WIDTH, key: keyWidth, value: keyWidth, output: WIDTH };
  return Object.fromEntries(
    Object.entries(outputs).flatMap(([name, size]) => [
      [`${prefix}${name}.weight`, [size, WIDTH]],
      ...hasBias ? [[`${prefix}${name}.bias`, [size]]] : [],
    ]),
  ) as Record<string, readonly number[]>;
}

const CONTEXT = rowsOf(
  Array.from({ length: BATCH * 3 * WIDTH }, (_, at) => Math.fround(Math.sin(at))),
  WIDTH,
);
const PADDING = [[1, 1, 0, 1, 0], [1, 0, 1, 1, 1]];

interface Case {
  readonly layer: Layer;
  readonly keyHeads?: number;
  readonly hasBias?: boolean;
  readonly sees?: Sees;
  readonly contextOf?: (x: Matrix, image: number) => Matrix;
}

const CASES: Readonly<Record<string, Case>> = {
  "of the input to itself": { layer: multiHeadAttention(WIDTH, HEADS) },
  "that is causal": {
    layer: multiHeadAttention(WIDTH, HEADS, { causal: true, bias: false }),
    hasBias: false,
    sees: (query, key) => key <= query,
  },
  "with grouped queries": { layer: multiHeadAttention(WIDTH, HEADS, { keyHeads: 2 }), keyHeads: 2 },
  "with one head of keys, causal": {
    layer: multiHeadAttention(WIDTH, HEADS, { keyHeads: 1, causal: true }),
    keyHeads: 1,
    sees: (query, key) => key <= query,
  },
  "to a context": {
    layer: (x, scope) =>
      multiHeadAttention(WIDTH, HEADS)(x, scope, {
        context: constant(HostTensor.from(CONTEXT.flat(), [BATCH, 3, WIDTH], "f32")),
      }),
    contextOf: (_, image) => CONTEXT.slice(image * 3, image * 3 + 3),
  },
  "with a padding mask": {
    layer: (x, scope) =>
      multiHeadAttention(WIDTH, HEADS)(x, scope, {
        paddingMask: cast(constant(HostTensor.from(PADDING.flat(), [BATCH, POSITIONS], "f32")), "u32"),
      }),
    sees: (_, key, image) => PADDING[image]?.[key] === 1,
  },
  "with a mask of queries and keys": {
    layer: (x, scope) =>
      multiHeadAttention(WIDTH, HEADS)(x, scope, {
        mask: constant(HostTensor.from(
          Array.from({ length: 25 }, (_, at) => Math.abs(Math.floor(at / 5) - at % 5) <= 1 ? 0 : -Infinity),
          [POSITIONS, POSITIONS],
          "f32",
        )),
      }),
    sees: (query, key) => Math.abs(query - key) <= 1,
  },
};

/** Layer norm of each row. */
function normed(rows: Matrix, parameters: Parameters, name: string): number[][] {
  return rows.map((row) => {
    const mean = row.reduce((sum, x) => sum + x, 0) / row.length;
    const variance = row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / row.length;
    return row.map((x, at) =>
      (x - mean) / Math.sqrt(variance + 1e-5) * (parameters[`${name}.weight`]?.[at] ?? NaN) +
      (parameters[`${name}.bias`]?.[at] ?? NaN)
    );
  });
}

describe("LA-05 attention layers", () => {
  for (const [name, { layer, keyHeads = HEADS, hasBias = true, ...given }] of Object.entries(CASES)) {
    gpuTest(`LA-05 multiHeadAttention ${name} is its formula, with its gradients`, async (gpu) => {
      const { sees = () => true, contextOf = (x: Matrix) => x } = given;
      await checkLayer(gpu, {
        layer,
        shape: [BATCH, POSITIONS, WIDTH],
        parameters: projections(keyHeads * WIDTH / HEADS, hasBias),
        outputShape: [BATCH, POSITIONS, WIDTH],
        reference: (x, parameters) =>
          eachImage(
            x,
            (rows, image) =>
              attended(rows, contextOf(rows, image), parameters, "", keyHeads, (query, key) =>
                sees(query, key, image)),
          ),
      });
    });
  }

  for (const norm of ["pre", "post"] as const) {
    gpuTest(`LA-05 transformerBlock with ${norm}-norm is its formula, with its gradients`, async (gpu) => {
      const vectors = Object.fromEntries(
        ["norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"].map((name) => [name, [WIDTH]]),
      );
      await checkLayer(gpu, {
        layer: transformerBlock(WIDTH, HEADS, { norm, causal: true, feedForward: 12, activation: tanh() }),
        shape: [BATCH, POSITIONS, WIDTH],
        parameters: {
          ...vectors,
          ...projections(WIDTH, true, "attention."),
          "linear1.weight": [12, WIDTH],
          "linear1.bias": [12],
          "linear2.weight": [WIDTH, 12],
          "linear2.bias": [WIDTH],
        },
        outputShape: [BATCH, POSITIONS, WIDTH],
        tolerance: 5e-5,
        reference: (x, parameters) => {
          const attend = (rows: Matrix): Matrix =>
            attended(rows, rows, parameters, "attention.", HEADS, (query, key) => key <= query);
          const feed = (rows: Matrix): Matrix =>
            projected(
              projected(rows, parameters, "linear1").map((row) => row.map(Math.tanh)),
              parameters,
              "linear2",
            );
          return eachImage(x, (rows) => {
            if (norm === "pre") {
              const middle = plus(rows, attend(normed(rows, parameters, "norm1")));
              return plus(middle, feed(normed(middle, parameters, "norm2")));
            }
            const middle = normed(plus(rows, attend(rows)), parameters, "norm1");
            return normed(plus(middle, feed(middle)), parameters, "norm2");
          });
        },
      });
    });
  }

  gpuTest(
    "LA-05 dropout of attention is a function of seed and step, and none in evaluation",
    async (gpu) => {
      const x = HostTensor.from(Array.from({ length: 80 }, (_, at) => Math.sin(at)), [2, 5, 8], "f32");
      const run = (dropout: number, isTraining: boolean, step: number): Promise<number[]> =>
        forward(gpu, multiHeadAttention(WIDTH, HEADS, { dropout }), x, { isTraining, step });
      const plain = await run(0, true, 0);
      const dropped = await run(0.5, true, 0);
      expect(dropped).not.toEqual(plain);
      expect(await run(0.5, true, 0)).toEqual(dropped);
      expect(await run(0.5, true, 1)).not.toEqual(dropped);
      expect(await run(0.5, false, 0)).toEqual(plain);
    },
  );

  test("LA-05 a block that is called twice has the same parameters again", () => {
    const block = transformerBlock(WIDTH, HEADS);
    const once = shapesOf(block, [2, 5, WIDTH]);
    expect(shapesOf((x, scope) => block(block(x, scope), scope), [2, 5, WIDTH])).toEqual(once);
    const two: Layer = (x, scope) => transformerBlock(WIDTH, HEADS)(block(x, scope), scope);
    expect(() => shapesOf(two, [2, 5, WIDTH])).toThrow("is taken");
  });

  test("LA-05 an input, a context or a mask that does not fit says where it is and both shapes", () => {
    expect(() => shapesOf(sequential(relu(), multiHeadAttention(8, 4)), [2, 5, 6])).toThrow(
      'multiHeadAttention(8, 4) at "1": takes [batch, positions, 8], found [2, 5, 6]',
    );
    expect(() => shapesOf(sequential(relu(), transformerBlock(8, 4)), [2, 5])).toThrow(
      'transformerBlock(8, 4) at "1": takes [batch, positions, 8], found [2, 5]',
    );
    const attend = multiHeadAttention(8, 4);
    const call = (options: AttentionCallOptions) => () =>
      attend(input("x", "f32", [2, 5, 8]), Scope.root({ isTraining: true }).child("a"), options);
    expect(call({ context: input("c", "f32", [3, 5, 8]) })).toThrow(
      'multiHeadAttention(8, 4)\'s context at "a": takes [2, positions, 8], found [3, 5, 8]',
    );
    expect(call({ paddingMask: input("m", "u32", [2, 4]) })).toThrow(
      'multiHeadAttention(8, 4) at "a": a padding mask is [batch, keys], here [2, 5], found [2, 4]',
    );
    expect(call({ paddingMask: input("m", "f32", [2, 5]) })).toThrow("a padding mask is u32, found f32");
    expect(call({ mask: input("m", "u32", [5, 4]) })).toThrow(
      'multiHeadAttention(8, 4) at "a" cannot take [2, 5, 8]: attention: a mask of shape [5, 4]',
    );
    const mask = input("m", "u32", [2, 5]);
    expect(call({ mask, paddingMask: mask })).toThrow("takes mask or paddingMask, found both");
  });

  test("LA-05 heads that do not divide, and a norm that is none, are refused where they are given", () => {
    expect(() => multiHeadAttention(8, 3)).toThrow("found width 8, 3 heads and 3 key heads");
    expect(() => multiHeadAttention(8, 4, { keyHeads: 3 })).toThrow("found width 8, 4 heads and 3 key heads");
    expect(() => multiHeadAttention(8, 4, { dropout: 1 })).toThrow("dropout is from 0 to below 1, found 1");
    expect(() => transformerBlock(8, 4, { norm: "none" as "pre" })).toThrow(
      'norm is "pre" or "post", found "none"',
    );
  });
});
