import { describe, expect } from "bun:test";
import { add, mul, square } from "../../src/graph/ops/arithmetic.ts";
import { input, parameter, stepScalar } from "../../src/graph/ops/sources.ts";
import { sum } from "../../src/graph/ops/sum.ts";
import type { Program, Update, UpdateBinding } from "../../src/graph/program.ts";
import { copy } from "../../src/kernels/elementwise/copy.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { expectFailure, failureOf, withExecutable } from "./executable_helpers.ts";
import { SCALARS } from "./run_values.ts";
import { Slab } from "./slab.ts";

const COUNT = 5;

/** Memory of the caller: what is updated, and where results are copied to. */
function memory(gpu: ConstructorParameters<typeof Slab>[0]) {
  const state = new Slab(gpu, "state", { w: [1, 2, 3, 4, 5] });
  const copies = new Slab(gpu, "copies", { first: Array(COUNT).fill(0), second: Array(COUNT).fill(0) });
  return { state, copies, close: () => [state, copies].forEach((slab) => slab.close()) };
}

function copyOf(from: UpdateBinding, into: UpdateBinding): Update {
  return copy<UpdateBinding>({ input: from, out: into }, { count: COUNT });
}

const x = input("x", "f32", [COUNT]);
const w = parameter("w", "f32", [COUNT]);
const RUN = { x: Float32Array.of(10, 20, 30, 40, 50) };

describe("values among the updates of a program", () => {
  gpuTest("are computed from what the updates before them left, and bound by those behind", async (gpu) => {
    const { state, copies, close } = memory(gpu);
    const where = (name: string) => state.range(name);
    const program: Program = {
      inputs: [x],
      outputs: { sum: add(x, w) },
      updates: [
        copyOf({ output: "sum" }, state.range("w")),
        { values: { scaled: mul(w, stepScalar(0)), total: sum(square(w)) }, parameters: where },
        copyOf({ output: "scaled" }, copies.range("first")),
        { values: { again: add(w, 1) }, parameters: where },
        copyOf({ output: "again" }, state.range("w")),
        copyOf(state.range("w"), copies.range("second")),
      ],
      parameters: where,
    };
    await withExecutable(gpu, program, async (executable) => {
      executable.run(RUN, SCALARS);
      const [found] = await executable.read("sum");
      expect([...found?.toArray() as Float32Array]).toEqual([11, 22, 33, 44, 55]);
      // Half of the sum, by the step's scalar; then the sum and one more.
      expect(await copies.read("first")).toEqual([5.5, 11, 16.5, 22, 27.5]);
      expect(await copies.read("second")).toEqual([12, 23, 34, 45, 56]);
      expect(executable.stats.dispatches).toBeGreaterThanOrEqual(7);
      expect(executable.describe()).toContain("update: ");
    });
    close();
  });

  gpuTest("share the memory of the program's steps, whose results are done with by then", async (gpu) => {
    const { state, copies, close } = memory(gpu);
    const where = (name: string) => state.range(name);
    const outputs = { out: sum(square(add(x, w))) };
    const bytesOf = async (updates: readonly Update[]): Promise<number> => {
      let bytes = NaN;
      await withExecutable(gpu, { inputs: [x], outputs, updates, parameters: where }, ({ stats }) => {
        bytes = stats.workspaceBytes;
      });
      return bytes;
    };
    const one = (name: string, into: string): Update[] => [
      { values: { [name]: square(add(w, 1)) }, parameters: where },
      copyOf({ output: name }, copies.range(into)),
    ];
    const plain = await bytesOf([]);
    const single = await bytesOf(one("a", "first"));
    expect(await bytesOf([...one("a", "first"), ...one("b", "second")])).toBe(single);
    expect(single - plain).toBeLessThanOrEqual(256);
    close();
  });

  gpuTest("that are a parameter as it is are copied away, so that it can be written", async (gpu) => {
    const { state, close } = memory(gpu);
    const where = (name: string) => state.range(name);
    const updates = [
      { values: { same: w }, parameters: where },
      copyOf({ output: "same" }, state.range("w")),
    ];
    await withExecutable(gpu, { inputs: [], outputs: {}, updates, parameters: where }, (executable) => {
      executable.run({});
    });
    expect(await state.read("w")).toEqual([1, 2, 3, 4, 5]);
    close();
  });

  gpuTest("are refused with a name that is taken, an input, or an output that is not there", async (gpu) => {
    const { state, close } = memory(gpu);
    const where = (name: string) => state.range(name);
    const failing = (updates: readonly Update[], outputs: Program["outputs"] = {}) =>
      failureOf(() => withExecutable(gpu, { inputs: [], outputs, updates, parameters: where }, () => {}));
    const values = (name: string, value = add(w, 1)): Update => ({
      values: { [name]: value },
      parameters: where,
    });
    expectFailure(
      await failing([values("a"), values("a")]),
      "TypeError",
      'Two outputs of a program are called "a"',
    );
    expectFailure(await failing([values("a")], { a: mul(w, 2) }), "TypeError", 'called "a"');
    expectFailure(await failing([values("a", add(x, w))]), "TypeError", 'input "x"');
    expectFailure(
      await failing([values("a"), copyOf({ output: "b" }, state.range("w"))]),
      "TypeError",
      'An update binds the output "b", which is not there; there is "a"',
    );
    close();
  });
});
