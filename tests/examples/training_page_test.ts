import { describe, expect, test } from "bun:test";
import process from "node:process";
import { examplesIn } from "./doc_examples.ts";
import { runExample } from "./run_example.ts";

const MINUTES = 60_000;
const scripts = examplesIn("docs/training.md").filter(({ code }) => code.includes("TensorStore.open()"));

describe("a whole script of docs/training.md", () => {
  test("is there for all that one writes oneself, for totals and for predicting", () => {
    expect(scripts.filter(({ code }) => code.includes("ops.customGradient("))).toHaveLength(1);
    expect(scripts.filter(({ code }) => /ops\.customOp\(.*wgsl.*gradient: .*model: nn\.Layer/s.test(code)))
      .toHaveLength(1);
    expect(scripts.filter(({ code }) => code.includes("scope.updateBuffer("))).toHaveLength(1);
    expect(scripts.filter(({ code }) => code.includes("nn.batchNorm("))).toHaveLength(1);
    expect(scripts.filter(({ code }) => code.includes("nn.Loss"))).toHaveLength(1);
    expect(scripts.filter(({ code }) => code.includes("nn.SetMetric"))).toHaveLength(1);
    expect(scripts.filter(({ code }) => /optim\.fromWgsl.*optim\.fromOps/s.test(code))).toHaveLength(1);
    expect(scripts.filter(({ code }) => code.includes("trainer.stop("))).toHaveLength(1);
    expect(scripts.filter(({ code }) => code.includes("TrainStep.compile("))).toHaveLength(1);
    expect(scripts.filter(({ code }) => code.includes("trainer.explain("))).toHaveLength(1);
    expect(scripts.filter(({ code }) => code.includes("trainer.predict(["))).toHaveLength(1);
    expect(scripts.filter(({ code }) => code.includes("nn.lossByOutput("))).toHaveLength(1);
    expect(scripts.filter(({ code }) => code.includes("nn.frozen("))).toHaveLength(1);
  });

  for (const example of scripts) {
    test(`runs: line ${example.place.split(":")[1]}`, async () => {
      const { status, output, errors } = await runExample(example);
      const isWithoutGpu = /no_webgpu|no_adapter/.test(errors) && process.env.REQUIRE_GPU !== "1";
      if (isWithoutGpu) return console.log(`SKIP gpu: ${example.place} (no adapter)`);
      expect([status, status === 0 ? "" : errors]).toEqual([0, ""]);
      // What it prints are numbers that it has measured.
      expect(output).toMatch(/\d\.\d+/);
      expect(output).not.toContain("undefined");
    }, 5 * MINUTES);
  }
});
