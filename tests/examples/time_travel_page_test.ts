import { describe, expect, test } from "bun:test";
import process from "node:process";
import { examplesIn } from "./doc_examples.ts";
import { runExample } from "./run_example.ts";

const MINUTES = 60_000;
const scripts = examplesIn("docs/time_travel.md").filter(({ code }) => code.includes("TensorStore.open()"));

/** What the script that has such a line is to print. */
const PRINTED: Readonly<Record<string, RegExp>> = {
  "trainer.rollback(": /^the loss leapt to \d[\d.e+]*: back to step 1\d\d\n500 0\.\d+\n$/,
  "trainer.goto(137": /^at step 137, from "step-00000100" at step 100\n0\.\d+ 0\.\d+\n$/,
};

describe("a whole script of docs/time_travel.md", () => {
  for (const [line, printed] of Object.entries(PRINTED)) {
    test(`with ${line}) goes back and ends as it says`, async () => {
      const [example, ...others] = scripts.filter(({ code }) => code.includes(line));
      expect(others).toEqual([]);
      if (example === undefined) throw new Error(`docs/time_travel.md has no script with ${line})`);
      const { status, output, errors } = await runExample(example);
      const isWithoutGpu = /no_webgpu|no_adapter/.test(errors) && process.env.REQUIRE_GPU !== "1";
      if (isWithoutGpu) return console.log(`SKIP gpu: ${example.place} (no adapter)`);
      expect([status, status === 0 ? "" : errors]).toEqual([0, ""]);
      expect(output).toMatch(printed);
    }, 5 * MINUTES);
  }
});
