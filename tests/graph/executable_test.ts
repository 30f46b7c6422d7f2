import { describe, expect } from "bun:test";
import type { CairnErrorCode } from "../../src/base/errors.ts";
import { Executable } from "../../src/graph/executable.ts";
import { mul } from "../../src/graph/ops/arithmetic.ts";
import { sum } from "../../src/graph/ops/sum.ts";
import { reshape, stopGradient } from "../../src/graph/ops/views.ts";
import type { Program } from "../../src/graph/program.ts";
import { constant, input, stepScalar } from "../../src/graph/ops/sources.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { BATCH, classifier } from "./classifier.ts";
import { expectFailure, failureOf, numbers, withExecutable } from "./executable_helpers.ts";
import { expectNear, noParameters, SCALARS } from "./run_values.ts";
import { Slab } from "./slab.ts";

describe("Executable in its steady state", () => {
  gpuTest("50 runs create no buffer, bind group or pipeline, and submit once each", async (gpu) => {
    const { program, parameters } = classifier();
    const slab = new Slab(gpu, "parameters", parameters);
    await withExecutable(gpu, { ...program, parameters: (name) => slab.range(name) }, (executable) => {
      executable.run(BATCH, SCALARS);
      const before = gpu.counters;
      for (let step = 0; step < 50; step++) executable.run(BATCH, { ...SCALARS, step });
      expect(gpu.counters).toEqual({ ...before, submits: before.submits + 50 });
    });
    slab.close();
  });

  gpuTest("the same model traced and compiled twice has the same plan and the same bits", async (gpu) => {
    const slab = new Slab(gpu, "parameters", classifier().parameters);
    const runs: { plan: string; tensors: HostTensor[] }[] = [];
    for (let round = 0; round < 2; round++) {
      const { program } = classifier();
      await withExecutable(
        gpu,
        { ...program, parameters: (name) => slab.range(name) },
        async (executable) => {
          executable.run(BATCH, SCALARS);
          runs.push({
            plan: executable.describe(),
            tensors: await executable.read(...Object.keys(program.outputs)),
          });
        },
      );
    }
    const [first, second] = runs;
    expect(second?.plan).toBe(first?.plan);
    first?.tensors.forEach((tensor, index) => expect(second?.tensors[index]?.equals(tensor)).toBe(true));
    slab.close();
  });

  gpuTest("a run's result does not depend on the runs before it", async (gpu) => {
    const { program, parameters } = classifier();
    const slab = new Slab(gpu, "parameters", parameters);
    await withExecutable(gpu, { ...program, parameters: (name) => slab.range(name) }, async (executable) => {
      executable.run(BATCH, SCALARS);
      const before = await executable.read("loss", "grad0");
      executable.run({ ...BATCH, x: Float32Array.from(numbers(144, 77)) }, { ...SCALARS, step: 8 });
      const between = await executable.read("loss", "grad0");
      executable.run(BATCH, SCALARS);
      const after = await executable.read("loss", "grad0");
      before.forEach((tensor, index) => expect(after[index]?.equals(tensor)).toBe(true));
      before.forEach((tensor, index) => expect(between[index]?.equals(tensor)).toBe(false));
    });
    slab.close();
  });
});

describe("Executable.run and read", () => {
  const x = input("x", "f32", [2, 3]);
  const doubled: Program = { inputs: [x], outputs: { y: mul(x, 2) }, parameters: noParameters };

  gpuTest("takes tensors, typed arrays and bytes", async (gpu) => {
    const floats = Float32Array.of(1, 2, 3, 4, 5, 6);
    await withExecutable(gpu, doubled, async (executable) => {
      const forms = [
        HostTensor.from(floats, [2, 3]),
        floats,
        new Uint8Array(floats.buffer),
        new DataView(floats.buffer),
      ];
      for (const form of forms) {
        executable.run({ x: new Float32Array(6) });
        executable.run({ x: form });
        const [y] = await executable.read("y");
        expect(y?.shape).toEqual([2, 3]);
        expectNear(y?.toArray() ?? [], [2, 4, 6, 8, 10, 12], 0);
      }
    });
  });

  gpuTest(
    "an input that does not fit is refused with what was compiled, and nothing is sent",
    async (gpu) => {
      await withExecutable(gpu, doubled, async (executable) => {
        executable.run({ x: new Float32Array(6).fill(1) });
        const { submits } = gpu.counters;
        const cases: [given: HostTensor | ArrayBufferView, code: CairnErrorCode, message: string][] = [
          [
            HostTensor.from(numbers(6, 1), [3, 2]),
            "shape_mismatch",
            'Input "x" is f32 of shape [3, 2]; the program was compiled for f32 of shape [2, 3]',
          ],
          [
            HostTensor.from(Int32Array.of(1, 2, 3, 4, 5, 6), [2, 3]),
            "dtype_mismatch",
            "is i32 of shape [2, 3]",
          ],
          [
            new Float32Array(5),
            "shape_mismatch",
            'Input "x" is a Float32Array of 20 bytes; the program was compiled for f32 of shape [2, 3] (24 bytes)',
          ],
          [new Int32Array(6), "dtype_mismatch", "is a Int32Array"],
        ];
        for (const [given, code, message] of cases) {
          const error = await failureOf(() => executable.run({ x: given }));
          expectFailure(error, code, message);
        }
        expect(gpu.counters.submits).toBe(submits);
        expectNear((await executable.read("y"))[0]?.toArray() ?? [], [2, 2, 2, 2, 2, 2], 0);
      });
    },
  );

  gpuTest("names that are missing or unknown are a TypeError that lists what there is", async (gpu) => {
    await withExecutable(gpu, doubled, async (executable) => {
      const y = new Float32Array(6);
      expect(() => executable.run({})).toThrow('"test" needs the input "x", which was not given');
      expect(() => executable.run({ x: y, z: y })).toThrow('"test" has no input "z"; it has "x"');
      expect(await failureOf(() => executable.read("z"))).toBeInstanceOf(TypeError);
    });
  });

  gpuTest("a closed executable says so", async (gpu) => {
    const executable = await Executable.compile(gpu, doubled, { label: "doubling" });
    executable.close();
    executable.close();
    const error = await failureOf(() => executable.run({ x: new Float32Array(6) }));
    expectFailure(error, "closed", 'Cannot use the executable "doubling": it was closed');
  });

  gpuTest("step scalars that are missing are asked for", async (gpu) => {
    const program = { ...doubled, outputs: { y: mul(x, stepScalar(1)) } };
    await withExecutable(gpu, program, async (executable) => {
      expect(() => executable.run({ x: new Float32Array(6) })).toThrow("give run() a seed and a step");
      executable.run({ x: new Float32Array(6).fill(2) }, SCALARS);
      expectNear((await executable.read("y"))[0]?.toArray() ?? [], new Array(6).fill(-2.5), 0);
    });
  });

  gpuTest("copies put outputs where the caller wants them, such as a ring", async (gpu) => {
    const ring = new Slab(gpu, "ring", { losses: [9, 9, 9, 9] });
    await withExecutable(
      gpu,
      { ...doubled, outputs: { y: reshape(mul(x, 2), [6]), first: sum(x) } },
      async (executable) => {
        for (let step = 0; step < 3; step++) {
          const into = { buffer: ring.buffer, offset: 4 * step, size: 4 };
          executable.run({ x: new Float32Array(6).fill(step + 1) }, undefined, [{ output: "first", into }]);
        }
        expect(await ring.read("losses")).toEqual([6, 12, 18, 9]);
        const small = [{ output: "y", into: { buffer: ring.buffer, offset: 0, size: 4 } }];
        expect(() => executable.run({ x: new Float32Array(6) }, undefined, small)).toThrow(
          'Output "y" has 24 bytes and cannot be copied into 4 bytes of "ring"',
        );
      },
    );
    ring.close();
  });

  gpuTest(
    "outputs may be inputs, constants, numbers and views of each other, and only what has to be is computed",
    async (gpu) => {
      const fixed = constant(HostTensor.from([1, 2, 3]));
      const product = mul(x, 2);
      const outputs = {
        x,
        fixed,
        three: constant(3),
        product,
        flat: reshape(product, [6]),
        stopped: stopGradient(product),
      };
      await withExecutable(gpu, { ...doubled, outputs }, async (executable) => {
        executable.run({ x: Float32Array.of(1, 2, 3, 4, 5, 6) });
        const found = await executable.read(...Object.keys(outputs));
        const twice = [2, 4, 6, 8, 10, 12];
        [[1, 2, 3, 4, 5, 6], [1, 2, 3], [3], twice, twice, twice].forEach((expected, index) =>
          expectNear(found[index]?.toArray() ?? [], expected, 0)
        );
        expect(found[4]?.shape).toEqual([6]);
        expect(executable.stats.dispatches).toBe(1);
      });
    },
  );
});
