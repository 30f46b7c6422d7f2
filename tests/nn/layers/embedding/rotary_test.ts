import { describe, expect, test } from "bun:test";
import { input } from "../../../../src/graph/ops/sources.ts";
import { multiHeadAttention, relu, Scope, sequential, transformerBlock } from "../../../../src/nn/nn.ts";
import { gpuTest } from "../../../helpers/gpu.ts";
import { checkLayer, type Parameters, shapesOf } from "../check_layer.ts";
import { rowOf } from "./rows.ts";

const [BATCH, POSITIONS, WIDTH, HEADS] = [2, 5, 8, 2];
const HEAD = WIDTH / HEADS;

const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, at) => sum + value * (b[at] ?? NaN), 0);

/** One row through the projection called `name`. */
function projected(row: readonly number[], parameters: Parameters, name: string): number[] {
  const weight = parameters[`${name}.weight`] ?? [];
  return (parameters[`${name}.bias`] ?? []).map((bias, at) => bias + dot(row, rowOf(weight, WIDTH, at)));
}

/** One head as complex numbers, the first half real and the second imaginary, each times e^(i angle). */
function turned(head: readonly number[], position: number, base: number): number[] {
  const half = HEAD / 2;
  return head.map((_, at) => {
    const pair = at % half;
    const angle = position / base ** (pair / half);
    const [real = NaN, imaginary = NaN] = [head[pair], head[pair + half]];
    return at < half
      ? real * Math.cos(angle) - imaginary * Math.sin(angle)
      : real * Math.sin(angle) + imaginary * Math.cos(angle);
  });
}

/** Causal attention with turned heads, query by query. */
function attended(x: readonly number[], parameters: Parameters, base: number): number[] {
  return Array.from({ length: BATCH * POSITIONS }, (_, at) => {
    const [image, query] = [Math.floor(at / POSITIONS), at % POSITIONS];
    const rows = Array.from(
      { length: query + 1 },
      (_, position) => rowOf(x, WIDTH, image * POSITIONS + position),
    );
    const own = projected(rows[query] ?? [], parameters, "query");
    const joined = Array.from({ length: HEADS }, (_, head) => {
      const q = turned(rowOf(own, HEAD, head), query, base);
      const weights = rows.map((row, position) => {
        const key = turned(rowOf(projected(row, parameters, "key"), HEAD, head), position, base);
        return Math.exp(dot(q, key) / Math.sqrt(HEAD));
      });
      const values = rows.map((row) => rowOf(projected(row, parameters, "value"), HEAD, head));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      return Array.from(
        { length: HEAD },
        (_, element) => dot(weights, values.map((value) => value[element] ?? NaN)) / total,
      );
    }).flat();
    return projected(joined, parameters, "output");
  }).flat();
}

describe("LA-04 rotary positions", () => {
  for (const base of [undefined, 50]) {
    gpuTest(
      `LA-04 multiHeadAttention turns queries and keys by base ${base}, with its gradients`,
      async (gpu) => {
        await checkLayer(gpu, {
          layer: multiHeadAttention(WIDTH, HEADS, {
            causal: true,
            rotary: base === undefined ? true : { base },
          }),
          shape: [BATCH, POSITIONS, WIDTH],
          parameters: Object.fromEntries(
            ["query", "key", "value", "output"].flatMap((name) => [
              [`${name}.weight`, [WIDTH, WIDTH]],
              [`${name}.bias`, [WIDTH]],
            ]),
          ),
          outputShape: [BATCH, POSITIONS, WIDTH],
          reference: (x, parameters) => attended(x, parameters, base ?? 10_000),
        });
      },
    );
  }

  test("LA-04 rotary positions need heads of an even width, and no context", () => {
    expect(() => multiHeadAttention(6, 2, { rotary: true })).toThrow(
      "multiHeadAttention(6, 2): rotary positions turn pairs, so the width of a head is even, found 3",
    );
    expect(() => transformerBlock(6, 2, { rotary: true })).toThrow("the width of a head is even, found 3");
    expect(() => multiHeadAttention(8, 2, { rotary: { turns: 3 } as never })).toThrow("turns");
    const x = input("x", "f32", [2, 5, 8]);
    const scope = Scope.root({ isTraining: true }).child("a");
    expect(() => multiHeadAttention(8, 2, { rotary: true })(x, scope, { context: x })).toThrow(
      'multiHeadAttention(8, 2) at "a": rotary positions are for attention of the input to itself',
    );
    const wide = sequential(relu(), multiHeadAttention(8, 2, { rotary: { width: 6 } }));
    expect(() => shapesOf(wide, [2, 5, 8])).toThrow("the width is an even number from 2 to 4, found 6");
  });
});
