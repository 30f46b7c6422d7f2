import { describe, expect } from "bun:test";
import { accuracy } from "../../../src/nn/nn.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { measured } from "./count_metric.ts";

describe("accuracy", () => {
  gpuTest("ME-01 is the part of the labels that have the largest logit, in whole numbers", async (gpu) => {
    const elements = [1, 2, 3, 3, 2, 1, 0, 5, 0, 7, 7, 0];
    const { totals, result } = await measured(
      gpu,
      accuracy(),
      { dtype: "f32", shape: [3], elements },
      { dtype: "u32", shape: [], elements: [2, 1, 1, 0] },
      [3, 1],
    );
    expect([totals.correct?.[0], totals.count?.[0], result]).toEqual([3, 4, 0.75]);
  });
});
