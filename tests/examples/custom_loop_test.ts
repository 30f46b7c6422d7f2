import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, expect, test } from "bun:test";
import { runChild, runtimeCommand } from "../helpers/child.ts";
import { lastTensors } from "../helpers/last_tensors.ts";

const SCRIPT = new URL("../../examples/custom_loop/train.ts", import.meta.url);

/** Runs the example in `directory`, and kills it when it has printed the line of `killAfter` steps. */
async function life(directory: string, killAfter?: number): Promise<{ output: string; errors: string }> {
  const { status, signal, output, errors } = await runChild([...runtimeCommand(SCRIPT), directory], {
    keepsErrors: true,
    onOutput: (text, kill) => {
      if (killAfter !== undefined && text.includes(`step ${killAfter} of`)) kill();
    },
  });
  if (killAfter !== undefined && !errors.includes("no_")) expect(signal).toBe("SIGKILL");
  else if (!output.includes("done:")) expect([status, errors]).toEqual([0, ""]);
  return { output, errors };
}

function endOf(output: string): { accuracy: number; steps: number } {
  const [, accuracy, steps] = /done: ([\d.]+) % of 2000 new points after (\d+) steps/.exec(output) ?? [];
  return { accuracy: Number(accuracy), steps: Number(steps) };
}

describe("examples/custom_loop", () => {
  test(
    "TR-02 a loop of one's own reaches what it states, and killed twice ends with the same bits",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "cairn-custom-loop-"));
      try {
        const [calm, killed] = [join(folder, "calm"), join(folder, "killed")];
        const whole = await life(calm);
        if (/no_webgpu|no_adapter/.test(whole.errors) && process.env.REQUIRE_GPU !== "1") {
          return console.log("SKIP gpu: examples/custom_loop (no adapter)");
        }
        const end = endOf(whole.output);
        expect(end.accuracy).toBeGreaterThanOrEqual(99);
        expect(end.steps).toBeLessThanOrEqual(2000);
        await life(killed, 300);
        const second = await life(killed, 600);
        expect(second.output).toMatch(/^going on from step [123]00$/m);
        const third = await life(killed);
        expect(third.output).toMatch(/^going on from step [456]00$/m);
        expect(endOf(third.output)).toEqual(end);
        expect(await lastTensors(killed)).toEqual(await lastTensors(calm));
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
    600_000,
  );
});
