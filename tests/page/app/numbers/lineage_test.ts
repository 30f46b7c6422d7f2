import { expect, test } from "bun:test";
import { type Descended, lineageOf } from "../../../../src/page/app/numbers/lineage.ts";

const saved = (fileId: string, step: number, order: number, parent?: string, runId = "run"): Descended => ({
  fileId,
  step,
  order,
  runId,
  directory: "",
  ...(parent === undefined ? {} : { parent }),
});

function drawn(checkpoints: readonly Descended[]): { lanes: string; lines: string[] } {
  const { placed, descents } = lineageOf(checkpoints);
  return {
    lanes: placed.map(({ checkpoint, lane }) => `${checkpoint.fileId}${lane}`).sort().join(" "),
    lines: descents.map(({ from, to, isResume }) =>
      `${from.checkpoint.fileId}${isResume ? "~" : "-"}${to.checkpoint.fileId}`
    ).sort(),
  };
}

test("what one process saved is one lane, and so is what went on from its end", () => {
  const { lanes, lines } = drawn([saved("a", 1, 1), saved("b", 2, 2), saved("c", 3, 3, "b")]);
  expect(lanes).toBe("a0 b0 c0");
  expect(lines).toEqual(["a-b", "b~c"]);
});

test("what went on from an earlier one is a lane of its own", () => {
  const run = [saved("a", 1, 1), saved("b", 2, 2), saved("c", 2, 3, "a"), saved("d", 3, 4, "a")];
  expect(drawn(run)).toEqual({ lanes: "a0 b0 c1 d1", lines: ["a-b", "a~c", "c-d"] });
});

test("runs that have nothing to do with each other are lanes, also where a parent is gone", () => {
  const found = drawn([saved("a", 1, 1), saved("b", 1, 1, undefined, "other"), saved("c", 9, 5, "gone")]);
  expect(found).toEqual({ lanes: "a0 b1 c2", lines: [] });
});

test("a file that names itself or a later one as its parent does not go round", () => {
  expect(drawn([saved("a", 1, 1, "a"), saved("b", 2, 2, "c"), saved("c", 3, 3, "b")]).lines).toEqual(["b~c"]);
});
