import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import type { Dispatch } from "../../../src/gpu/dispatch.ts";
import { philox, type PhiloxOptions } from "../../../src/kernels/random/philox.ts";
import { encodeStepScalars } from "../../../src/kernels/step_scalars.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectClose, expectSame, SIZES } from "../numbers.ts";
import { bitsTwin, normalTwin, philoxTwin, uniformTwin } from "../twins/philox_twin.ts";

/** Known answers that the authors publish with their code (Random123, kat_vectors): counter, key, result. */
const KNOWN_ANSWERS = [
  {
    counter: [0, 0, 0, 0],
    key: [0, 0],
    result: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  },
  {
    counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    key: [0xffffffff, 0xffffffff],
    result: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  },
  {
    counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    key: [0xa4093822, 0x299f31d0],
    result: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  },
];

async function floats(gpu: GpuDevice, options: PhiloxOptions): Promise<Float32Array> {
  const out = new Float32Array(options.count);
  return (await runDispatch(gpu, philox<HostArray>({ out }, options), [out]))[0];
}

async function bits(gpu: GpuDevice, options: Omit<PhiloxOptions, "distribution">): Promise<Uint32Array> {
  const out = new Uint32Array(options.count);
  return (await runDispatch(gpu, philox<HostArray>({ out }, { distribution: "bits", ...options }), [out]))[0];
}

describe("philox", () => {
  test("the twin gives the authors' known answers", () => {
    for (const { counter, key, result } of KNOWN_ANSWERS) expect(philoxTwin(counter, key)).toEqual(result);
  });

  gpuTest("the kernel gives the authors' known answers", async (gpu) => {
    for (const { counter, key, result } of KNOWN_ANSWERS) {
      const [first_counter = 0, step = 0, stream = 0, last_word = 0] = counter;
      const seed = BigInt(key[0] ?? 0) + (BigInt(key[1] ?? 0) << 32n);
      const out = new Uint32Array(4);
      const dispatch = philox<HostArray>({ out }, { distribution: "bits", count: 4, stream, seed, step });
      const moved: Dispatch<HostArray> = {
        ...dispatch,
        constants: { ...dispatch.constants, first_counter, last_word },
      };
      expect([...(await runDispatch(gpu, moved, [out]))[0]]).toEqual(result);
    }
  });

  gpuTest("fills 0 to 65537 words with the twin's bits", async (gpu) => {
    const draw = { seed: 2 ** 40 + 12_345, step: 7, stream: 3 };
    for (const count of SIZES) expectSame(await bits(gpu, { count, ...draw }), bitsTwin(count, draw));
  });

  gpuTest("gives uniform numbers in [0, 1), the twin's exactly", async (gpu) => {
    const draw = { seed: 5, step: 0, stream: 1 };
    for (const count of [1, 63, 65_537]) {
      const numbers = await floats(gpu, { distribution: "uniform", count, ...draw });
      expectSame(numbers, uniformTwin(count, draw));
      expect(numbers.every((x) => x >= 0 && x < 1)).toBe(true);
    }
  });

  gpuTest("gives normal numbers, close to the twin's", async (gpu) => {
    const draw = { seed: 5, step: 2, stream: 1 };
    for (const count of [1, 64, 65_537]) {
      const numbers = await floats(gpu, { distribution: "normal", count, ...draw });
      expectClose(numbers, normalTwin(count, draw), { absolute: 5e-4 });
    }
  });

  gpuTest(
    "gives normal numbers with mean 0, variance 1 and the tails of a normal distribution",
    async (gpu) => {
      const count = 65_536;
      const numbers = [...await floats(gpu, { distribution: "normal", count, stream: 0, seed: 9 })];
      const moment = (power: number) => numbers.reduce((sum, x) => sum + x ** power, 0) / count;
      // Five standard errors each.
      expect(Math.abs(moment(1))).toBeLessThan(5 / 256);
      expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.SQRT2 / 256);
      expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96) / 256);
      expect(Math.abs(numbers.filter((x) => Math.abs(x) > 2).length / count - 0.0455)).toBeLessThan(
        5 * 0.21 / 256,
      );
    },
  );

  gpuTest("takes seed and step from the scalars when they are bound", async (gpu) => {
    const scalars = encodeStepScalars({ seed: 0x1234_5678_9abc_def0n, step: 11, values: [] });
    for (const distribution of ["uniform", "normal"] as const) {
      const out = new Float32Array(65);
      const [bound] = await runDispatch(
        gpu,
        philox<HostArray>({ out, scalars }, { distribution, count: 65, stream: 2, seed: 1, step: 1 }),
        [out],
      );
      const seed = 0x1234_5678_9abc_def0n;
      expectSame(bound, await floats(gpu, { distribution, count: 65, stream: 2, seed, step: 11 }));
    }
  });

  gpuTest(
    "draws other numbers for another seed, step or stream, and the same ones for a longer fill",
    async (gpu) => {
      const draw = { count: 64, stream: 1, seed: 1, step: 1 };
      const base = await bits(gpu, draw);
      for (const other of [{ stream: 2 }, { seed: 2 }, { seed: 2 ** 32 + 1 }, { step: 2 }]) {
        const numbers = await bits(gpu, { ...draw, ...other });
        expect(numbers.filter((word, index) => word === base[index]).length).toBe(0);
      }
      expectSame((await bits(gpu, { ...draw, count: 257 })).subarray(0, 64), base);
    },
  );

  test("has nothing to dispatch for no elements, and refuses an invalid stream or step", () => {
    expect(philox({ out: "out" }, { distribution: "bits", count: 0, stream: 0 }).workgroups).toEqual([
      0,
      0,
      0,
    ]);
    expect(() => philox({ out: "out" }, { distribution: "bits", count: 1, stream: -1 })).toThrow(
      "stream has to be",
    );
    expect(() => philox({ out: "out" }, { distribution: "bits", count: 1, stream: 0, step: 0.5 })).toThrow(
      "step has to be",
    );
  });
});
