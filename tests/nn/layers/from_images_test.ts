import { describe, expect, test } from "bun:test";
import { Executable } from "../../../src/graph/executable.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import { fromImages, Scope } from "../../../src/nn/nn.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { noParameters, SCALARS } from "../../graph/run_values.ts";

const [BATCH, ROWS, COLUMNS, CHANNELS] = [3, 5, 7, 3];

function scope(): Scope {
  return Scope.root({ isTraining: true });
}

describe("fromImages", () => {
  gpuTest("DA-03 uploads bytes, and turns and normalises them in one kernel", async (gpu) => {
    const images = Uint8Array.from({ length: BATCH * ROWS * COLUMNS * CHANNELS }, (_, at) => at * 89 % 256);
    const [mean, deviation] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
    const x = input("images", "u8", [BATCH, ROWS, COLUMNS, CHANNELS]);
    const output = fromImages({ mean, deviation })(x, scope());
    expect([output.dtype, output.shape]).toEqual(["f32", [BATCH, CHANNELS, ROWS, COLUMNS]]);
    const program = { inputs: [x], outputs: { output }, parameters: noParameters };
    const executable = await Executable.compile(gpu, program);
    expect(executable.explain().kernels.length).toBe(1);
    executable.run({ images }, SCALARS);
    const [planes] = await executable.read("output");
    executable.close();
    const expected = Float32Array.from({ length: images.length }, (_, at) => {
      const column = at % COLUMNS;
      const row = Math.floor(at / COLUMNS) % ROWS;
      const channel = Math.floor(at / (COLUMNS * ROWS)) % CHANNELS;
      const image = Math.floor(at / (COLUMNS * ROWS * CHANNELS));
      const byte = images[((image * ROWS + row) * COLUMNS + column) * CHANNELS + channel] ?? NaN;
      return (byte / 255 - (mean[channel] ?? NaN)) / (deviation[channel] ?? NaN);
    });
    const found = planes?.toArray() as Float32Array;
    expect(Math.max(...found.map((value, at) => Math.abs(value - (expected[at] ?? NaN))))).toBeLessThan(2e-6);
  });

  test("DA-03 takes images without channels, and says what does not fit", () => {
    const grey = fromImages({ mean: 0.5 })(input("x", "u8", [4, 28, 28]), scope());
    expect(grey.shape).toEqual([4, 1, 28, 28]);
    const apply = (shape: number[], options = {}) => () =>
      fromImages(options)(input("x", "u8", shape), scope());
    expect(apply([4, 28])).toThrow(
      "takes [batch, rows, columns, channels] or [batch, rows, columns], found [4, 28]",
    );
    expect(apply([4, 2, 2, 3], { mean: [0, 1] })).toThrow(
      "3 channels, and there are 2 means and 3 deviations",
    );
    expect(() => fromImages({ deviation: 0 })).toThrow("deviation of fromImages() is not 0");
    expect(() => fromImages({ mean: [0, NaN] })).toThrow("found NaN");
  });
});
