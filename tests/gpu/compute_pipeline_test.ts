import { describe, expect, test } from "bun:test";
import { pipelineKey } from "../../src/gpu/compute_pipeline.ts";

const CODE = "@compute @workgroup_size(1) fn main() {}";

describe("pipelineKey", () => {
  test("does not depend on the label or on the order of the constants", () => {
    const a = pipelineKey({ label: "a", code: CODE, constants: { x: 1, y: 2 } });
    expect(pipelineKey({ label: "b", code: CODE, constants: { y: 2, x: 1 } })).toBe(a);
  });

  test("differs with the code, the names and the values of the constants", () => {
    const keys = [
      { code: CODE, constants: {} },
      { code: `${CODE} `, constants: {} },
      { code: CODE, constants: { x: 1 } },
      { code: CODE, constants: { x: 2 } },
      { code: CODE, constants: { y: 1 } },
      { code: CODE, constants: { x: 1, y: 1 } },
    ].map((spec) => pipelineKey({ label: "k", ...spec }));
    expect(new Set(keys).size).toBe(keys.length);
  });
});
