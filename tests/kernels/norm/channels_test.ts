import { describe, expect } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { planChannels } from "../../../src/kernels/norm/channel_plan.ts";
import { channelStatistics } from "../../../src/kernels/norm/channel_statistics.ts";
import { channelSums } from "../../../src/kernels/norm/channel_sums.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import type { HostArray } from "../../helpers/run_dispatch.ts";
import { HOST_MEMORY, runSteps } from "../../helpers/run_steps.ts";
import { expectClose, randomNumbers } from "../numbers.ts";

/** `[batch, channels, inner]`: vectors of channels, of neighbours, and none; one partial and several. */
const SIZES: readonly (readonly [number, number, number])[] = [
  [1, 1, 1],
  [63, 3, 1],
  [65, 4, 1],
  [2, 5, 4],
  [3, 2, 7],
  [1500, 4, 1],
  [1025, 3, 1],
  [7, 3, 400],
  [9, 2, 513],
  [40, 257, 9],
];

function channel([, channels, inner]: readonly [number, number, number], index: number): number {
  return Math.floor(index / inner) % channels;
}

async function statisticsOf(
  gpu: GpuDevice,
  [batch, channels, inner]: readonly [number, number, number],
  input: Float32Array,
): Promise<Float32Array> {
  const out = new Float32Array(2 * channels);
  await runSteps(gpu, channelStatistics<HostArray>({ input, out }, { batch, channels, inner }, HOST_MEMORY));
  return out;
}

describe("statistics of channels", () => {
  gpuTest("OP-10 are float64's at odd sizes, in one partial and in several", async (gpu) => {
    for (const sizes of SIZES) {
      const [batch, channels, inner] = sizes;
      const input = randomNumbers(batch * channels * inner, batch).map((each) => each + 3);
      const found = await statisticsOf(gpu, sizes, input);
      const count = batch * inner;
      const means = Array<number>(channels).fill(0);
      input.forEach((each, index) => means[channel(sizes, index)]! += each / count);
      const variances = Array<number>(channels).fill(0);
      input.forEach((each, index) => {
        const at = channel(sizes, index);
        variances[at]! += (each - (means[at] ?? NaN)) ** 2 / count;
      });
      expectClose(found.subarray(0, channels), means, { relative: 1.3e-7 });
      expectClose(found.subarray(channels), variances, { relative: 2e-6, absolute: 1e-13 });
    }
    const partials = SIZES.map(([batch, channels, inner]) =>
      planChannels({ batch, channels, inner }).partials
    );
    expect(Math.min(...partials)).toBe(1);
    expect(Math.max(...partials)).toBeGreaterThan(3);
  });

  gpuTest(
    "OP-10 of equal elements are exact, and a channel with a NaN or an infinity is NaN",
    async (gpu) => {
      for (const sizes of [[70, 6, 1], [70, 8, 1], [3, 6, 8], [1500, 6, 1]] as const) {
        const [batch, channels, inner] = sizes;
        const specials = [1e6 / 3, -0.1, NaN, Infinity, -Infinity, 1];
        const input = Float32Array.from({ length: batch * channels * inner }, (_, index) => {
          const at = channel(sizes, index);
          const isFirst = index < channels * inner && index % inner === 0;
          if (at < 2 || at >= 6) return specials[at] ?? 7;
          return isFirst ? specials[at] ?? NaN : index % 5;
        });
        const found = await statisticsOf(gpu, sizes, input);
        expect([...found.subarray(0, 2)]).toEqual([Math.fround(1e6 / 3), Math.fround(-0.1)]);
        expect([...found.subarray(channels, channels + 2)]).toEqual([0, 0]);
        for (const at of [2, 3, 4]) {
          expect([at, found[at], found[channels + at]]).toEqual([at, NaN, NaN]);
        }
        expect(Number.isFinite(found[channels + 5])).toBe(true);
      }
    },
  );
});

describe("sums of channels", () => {
  gpuTest("OP-10 are float64's at odd sizes, by statistics of examples, groups and channels", async (gpu) => {
    for (const sizes of SIZES) {
      const [batch, channels, inner] = sizes;
      for (const [rowsOfExample, channelsOfRow] of [[1, channels], [0, 1], [channels, 1]] as const) {
        const rows = rowsOfExample === 0 ? channels : rowsOfExample * batch;
        const count = batch * channels * inner;
        const [input, outGrad] = [randomNumbers(count, 2), randomNumbers(count, 3)];
        const statistics = randomNumbers(2 * rows, 4);
        const products = new Float32Array(channels);
        for (const sums of [new Float32Array(channels), undefined]) {
          await runSteps(
            gpu,
            channelSums<HostArray>({ input, outGrad, statistics, products, sums }, {
              batch,
              channels,
              inner,
              rowsOfExample,
              channelsOfRow,
              rows,
            }, HOST_MEMORY),
          );
          const expected = {
            products: Array<number>(channels).fill(0),
            sums: Array<number>(channels).fill(0),
          };
          input.forEach((each, index) => {
            const at = channel(sizes, index);
            const row = Math.floor(index / (channels * inner)) * rowsOfExample +
              Math.floor(at / channelsOfRow);
            const slope = outGrad[index] ?? NaN;
            expected.products[at]! += slope * (each - (statistics[row] ?? NaN)) *
              (statistics[rows + row] ?? NaN);
            expected.sums[at]! += slope;
          });
          const tolerance = { absolute: 1e-6 * (1 + Math.sqrt(batch * inner)), relative: 1e-6 };
          expectClose(products, expected.products, tolerance);
          if (sums !== undefined) expectClose(sums, expected.sums, tolerance);
        }
      }
    }
  });
});
