import { describe, expect, test } from "bun:test";
import * as ops from "../../../src/graph/ops.ts";
import { reachable } from "../../../src/graph/value.ts";
import { KNOWN_OPS } from "../../graph/ops/op_twins.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import type { RowRecorder } from "../campaign.ts";
import { encloseGraph } from "./differential.ts";
import { runGraphs } from "./graph_rows.ts";
import { OP_NAMES, randomGraph, SMALL_GRAPHS } from "./random_graphs.ts";

const SEED = 1;
const graphs = Array.from({ length: SMALL_GRAPHS }, (_, index) => randomGraph(SEED, index));

describe("random graphs", () => {
  test("use every public op, each at least three times", () => {
    const known = Object.entries(ops).filter(([, member]) => typeof member === "function").map(([name]) =>
      name
    );
    expect([...OP_NAMES]).toEqual(known.sort());
    expect(SMALL_GRAPHS / OP_NAMES.length).toBeGreaterThanOrEqual(3);
  });

  test("contain every op that the interpreter knows, those of gradients too", () => {
    const many = Array.from({ length: 3000 }, (_, index) => randomGraph(SEED, index));
    const used = new Set(many.flatMap(({ outputs }) => reachable(outputs).map(({ op }) => op)));
    expect(KNOWN_OPS.filter((name) => !used.has(name))).toEqual([]);
  });

  test("hold zeros of both signs, infinities, NaN, empty tensors and odd sizes", () => {
    const tensors = graphs.flatMap(({ elements }) => [...elements.values()]).filter(({ dtype }) =>
      dtype === "f32"
    );
    const numbers = tensors.flatMap((tensor) => Array.from(tensor.toArray(), Number));
    for (const special of [0, -0, NaN, Infinity, -Infinity]) {
      expect(numbers.some((x) => Object.is(x, special))).toBe(true);
    }
    expect(tensors.some(({ shape }) => shape.includes(0))).toBe(true);
    expect(tensors.some(({ elementCount }) => elementCount % 4 === 3)).toBe(true);
    expect(new Set(tensors.map(({ shape }) => shape.length)).size).toBeGreaterThanOrEqual(4);
  });

  test("are the same for the same seed, and others for another", () => {
    const text = (seed: number): string =>
      JSON.stringify(randomGraph(seed, 5).outputs.map(({ op, shape }) => [op, shape]));
    const first = encloseGraph(randomGraph(SEED, 5));
    const again = encloseGraph(randomGraph(SEED, 5));
    expect(JSON.stringify([...first.values()])).toBe(JSON.stringify([...again.values()]));
    expect([1, 2, 3, 4].some((seed) => text(seed) !== text(SEED))).toBe(true);
  });

  gpuTest(
    `give what IEEE 754 and WGSL's accuracy allow: ${SMALL_GRAPHS} graphs, NaN and infinity exactly`,
    async (gpu) => {
      const failures: string[] = [];
      const row: RowRecorder = { point: () => {}, note: () => {}, fail: (what) => void failures.push(what) };
      await runGraphs(gpu, { seed: SEED, first: 0, count: SMALL_GRAPHS }, row);
      expect(failures).toEqual([]);
    },
    600_000,
  );
});
