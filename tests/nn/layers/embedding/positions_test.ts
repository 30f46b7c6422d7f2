import { describe, expect, test } from "bun:test";
import { learnedPositions, relu, sequential, sinusoidalPositions } from "../../../../src/nn/nn.ts";
import { gpuTest } from "../../../helpers/gpu.ts";
import { checkLayer, shapesOf } from "../check_layer.ts";

const [BATCH, POSITIONS, DIM] = [2, 5, 7];

describe("LA-04 positions", () => {
  for (const most of [POSITIONS, 8]) {
    gpuTest(`LA-04 learnedPositions adds ${POSITIONS} of ${most} rows, with their gradients`, async (gpu) => {
      await checkLayer(gpu, {
        layer: learnedPositions(most, DIM),
        shape: [BATCH, POSITIONS, DIM],
        parameters: { weight: [most, DIM] },
        outputShape: [BATCH, POSITIONS, DIM],
        reference: (x, { weight = [] }) =>
          x.map((value, at) => value + (weight[at % (POSITIONS * DIM)] ?? NaN)),
      });
    });
  }

  gpuTest("LA-04 sinusoidalPositions adds sines and cosines, without parameters", async (gpu) => {
    for (const dim of [DIM, 8]) {
      await checkLayer(gpu, {
        layer: sinusoidalPositions(dim),
        shape: [BATCH, POSITIONS, dim],
        parameters: {},
        outputShape: [BATCH, POSITIONS, dim],
        reference: (x) =>
          x.map((value, at) => {
            const [position, column] = [Math.floor(at / dim) % POSITIONS, at % dim];
            const angle = position * Math.exp(-Math.log(10_000) * 2 * Math.floor(column / 2) / dim);
            return value + (column % 2 === 0 ? Math.sin(angle) : Math.cos(angle));
          }),
      });
    }
  });

  test("LA-04 positions that do not fit say where they are and both shapes", () => {
    expect(() => shapesOf(sequential(relu(), learnedPositions(4, 6)), [2, 5, 6])).toThrow(
      'learnedPositions(4, 6) at "1": has rows for 4 positions, found 5 in [2, 5, 6]',
    );
    expect(() => shapesOf(sequential(relu(), learnedPositions(8, 6)), [2, 5, 7])).toThrow(
      'learnedPositions(8, 6) at "1": takes [batch, positions, 6], found [2, 5, 7]',
    );
    expect(() => shapesOf(sequential(relu(), sinusoidalPositions(6)), [2, 6])).toThrow(
      'sinusoidalPositions(6) at "1": takes [batch, positions, 6], found [2, 6]',
    );
    expect(() => learnedPositions(0, 6)).toThrow("the number of positions is a whole number from 1, found 0");
    expect(() => sinusoidalPositions(0)).toThrow("the dimension is a whole number from 1, found 0");
  });
});
