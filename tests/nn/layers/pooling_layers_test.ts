import { describe, expect, test } from "bun:test";
import {
  avgPool1d,
  avgPool2d,
  globalAvgPool,
  globalMaxPool,
  type Layer,
  maxPool1d,
  maxPool2d,
  relu,
  sequential,
  upsample,
} from "../../../src/nn/nn.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { checkLayer, shapesOf } from "./check_layer.ts";

type Pair = readonly [number, number];

const largest = (window: readonly number[]): number => Math.max(...window);
const mean = (window: readonly number[]): number => window.reduce((sum, x) => sum + x, 0) / window.length;

/** What `of` makes of each window of each plane; what is outside is `outside`, or not there. */
function pooled(
  x: readonly number[],
  [rows, columns]: Pair,
  [kernelRows, kernelColumns]: Pair,
  [outRows, outColumns]: Pair,
  stride: Pair,
  padding: Pair,
  of: (window: readonly number[]) => number,
  outside?: number,
): number[] {
  const planes = x.length / (rows * columns);
  return Array.from({ length: planes * outRows * outColumns }, (_, index) => {
    const plane = Math.floor(index / (outRows * outColumns));
    const window: number[] = [];
    for (let tap = 0; tap < kernelRows * kernelColumns; tap++) {
      const row = Math.floor(index / outColumns) % outRows * stride[0] + Math.floor(tap / kernelColumns) -
        padding[0];
      const column = index % outColumns * stride[1] + tap % kernelColumns - padding[1];
      const isInside = row >= 0 && row < rows && column >= 0 && column < columns;
      if (isInside) window.push(x[(plane * rows + row) * columns + column] ?? NaN);
      else if (outside !== undefined) window.push(outside);
    }
    return of(window);
  });
}

interface Case {
  readonly layer: Layer;
  readonly shape: readonly number[];
  readonly outputShape: readonly number[];
  readonly reference: (x: readonly number[]) => number[];
}

const CASES: Readonly<Record<string, Case>> = {
  "maxPool2d": {
    layer: maxPool2d([2, 3], { stride: [2, 1], padding: [1, 1] }),
    shape: [2, 3, 5, 4],
    outputShape: [2, 3, 3, 4],
    reference: (x) => pooled(x, [5, 4], [2, 3], [3, 4], [2, 1], [1, 1], largest),
  },
  "maxPool1d": {
    layer: maxPool1d(2),
    shape: [2, 3, 7],
    outputShape: [2, 3, 3],
    reference: (x) => pooled(x, [1, 7], [1, 2], [1, 3], [1, 2], [0, 0], largest),
  },
  "avgPool2d": {
    layer: avgPool2d(3, { stride: 2, padding: 1 }),
    shape: [2, 3, 5, 4],
    outputShape: [2, 3, 3, 2],
    reference: (x) => pooled(x, [5, 4], [3, 3], [3, 2], [2, 2], [1, 1], mean, 0),
  },
  "avgPool1d without the padding": {
    layer: avgPool1d(3, { stride: 2, padding: 1, countIncludePad: false }),
    shape: [2, 3, 7],
    outputShape: [2, 3, 4],
    reference: (x) => pooled(x, [1, 7], [1, 3], [1, 4], [1, 2], [0, 1], mean),
  },
  "globalAvgPool": {
    layer: globalAvgPool(),
    shape: [2, 3, 5, 4],
    outputShape: [2, 3],
    reference: (x) => pooled(x, [5, 4], [5, 4], [1, 1], [1, 1], [0, 0], mean),
  },
  "globalMaxPool": {
    layer: globalMaxPool(),
    shape: [2, 3, 7],
    outputShape: [2, 3],
    reference: (x) => pooled(x, [1, 7], [1, 7], [1, 1], [1, 1], [0, 0], largest),
  },
  "upsample": {
    layer: upsample({ scale: [2, 3] }),
    shape: [2, 1, 2, 3],
    outputShape: [2, 1, 4, 9],
    reference: (x) =>
      Array.from({ length: 72 }, (_, index) => {
        const [plane, row, column] = [Math.floor(index / 36), Math.floor(index / 9) % 4, index % 9];
        return x[plane * 6 + Math.floor(row / 2) * 3 + Math.floor(column / 3)] ?? NaN;
      }),
  },
  "upsample in even steps": {
    layer: upsample({ scale: [1, 2], mode: "bilinear" }),
    shape: [2, 1, 1, 4],
    outputShape: [2, 1, 1, 8],
    reference: (x) =>
      Array.from({ length: 16 }, (_, index) => {
        // The middle of a new pixel in units of the old ones, held inside.
        const place = Math.min(3, Math.max(0, (index % 8 + 0.5) / 2 - 0.5));
        const [left, part] = [Math.floor(place), place - Math.floor(place)];
        const of = (column: number): number => x[Math.floor(index / 8) * 4 + Math.min(3, column)] ?? NaN;
        return of(left) * (1 - part) + of(left + 1) * part;
      }),
  },
};

describe("LA-01 pooling and upsampling layers", () => {
  for (const [name, layerCase] of Object.entries(CASES)) {
    gpuTest(`LA-01 ${name} is its formula, with its gradient`, async (gpu) => {
      await checkLayer(gpu, { ...layerCase, parameters: {} });
    });
  }

  test("LA-01 a window that does not fit says where it is and both sizes", () => {
    const model = (layer: Layer) => sequential(relu(), layer);
    expect(() => shapesOf(model(maxPool2d(4)), [2, 3, 3, 8])).toThrow(
      'maxPool2d(4) at "1" cannot take [2, 3, 3, 8]: maxPool2d: a window of 4 does not fit into 3 elements',
    );
    expect(() => shapesOf(model(avgPool2d([2, 2])), [2, 3, 3])).toThrow(
      'avgPool2d([2,2]) at "1" cannot take [2, 3, 3]: avgPool2d: takes input of shape [batch, channels, rows, columns]',
    );
    expect(() => shapesOf(model(maxPool1d(9)), [2, 3, 8])).toThrow(
      'maxPool1d(9) at "1" cannot take [2, 3, 8]',
    );
    expect(() => shapesOf(model(avgPool1d(2)), [2, 3])).toThrow('avgPool1d(2) at "1" cannot take [2, 3]');
    expect(() => shapesOf(model(upsample()), [2, 3])).toThrow('upsample() at "1" cannot take [2, 3]');
    for (const [name, layer] of Object.entries({ globalAvgPool, globalMaxPool })) {
      expect(() => shapesOf(model(layer()), [2, 3])).toThrow(
        `${name}() at "1": takes [batch, channels, …] with elements, found [2, 3]`,
      );
    }
  });
});
