import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, expect, test } from "bun:test";
import { type ChildEnd, runChild, runtimeCommand } from "../helpers/child.ts";
import { inFolder } from "../helpers/in_folder.ts";
import { lastTensors } from "../helpers/last_tensors.ts";
import { BATCH, COUNT, EPOCHS } from "./killed_stream.ts";

const SCRIPT = new URL("./killed_stream_life.ts", import.meta.url);
const STEPS = EPOCHS * Math.ceil(COUNT / BATCH);

/** A process, from its start to its end or its death. */
interface Life extends ChildEnd {
  /** The step that it began at. */
  readonly from: number;
  /** What it trained on or read ahead, in order. */
  readonly examples: readonly string[];
}

/** Trains in `directory`, and is killed as soon as `killAfter` steps are done. */
async function life(rows: string, directory: string, killAfter = Infinity): Promise<Life> {
  mkdirSync(directory, { recursive: true });
  const command = [...runtimeCommand(SCRIPT), `--rows=${rows}`, `--checkpoints=${directory}`];
  const end = await runChild(command, {
    keepsErrors: true,
    onOutput: (output, kill) => {
      const [, step] = /step (\d+)\n(?![^]*step \d+\n)/.exec(output) ?? [];
      if (Number(step) >= killAfter) kill();
    },
  });
  const [, from] = /^from (\d+)$/m.exec(end.output) ?? [];
  return {
    ...end,
    from: Number(from),
    examples: [...end.output.matchAll(/^example (\d+)$/gm)].map(([, id = ""]) => id),
  };
}

function rowsOfText(): string {
  const rows = Array.from({ length: COUNT }, (_, id) => `${id},${Math.sin(id)},${Math.cos(3 * id)}`);
  return ["id,x,y", ...rows, ""].join("\n");
}

/** How many examples the steps before step `step` have. */
function examplesBefore(step: number): number {
  const perEpoch = Math.ceil(COUNT / BATCH);
  return Math.floor(step / perEpoch) * COUNT + (step % perEpoch) * BATCH;
}

describe("a process that is killed in the middle of a stream", () => {
  test("DA-01 goes on at the same example, twice, and ends with the bits of an undisturbed one", async () => {
    await inFolder(async (folder) => {
      const rows = join(folder, "rows.csv");
      writeFileSync(rows, rowsOfText());
      const [calm, killed] = [join(folder, "calm"), join(folder, "killed")];
      const whole = await life(rows, calm);
      if (/no_webgpu|no_adapter/.test(whole.errors) && process.env.REQUIRE_GPU !== "1") {
        return console.log("SKIP gpu: a process that is killed in the middle of a stream (no adapter)");
      }
      expect([whole.from, whole.output.endsWith("done\n") ? "" : whole.errors]).toEqual([0, ""]);
      expect(whole.examples).toHaveLength(EPOCHS * COUNT);

      let step = 0;
      for (const killAfter of [11, Math.ceil(STEPS / 2) + 7, Infinity]) {
        const next = await life(rows, killed, killAfter);
        expect(next.signal).toBe(killAfter < Infinity ? "SIGKILL" : null);
        if (step > 0) expect(next.from).toBeGreaterThan(step);
        step = next.from;
        const first = examplesBefore(step);
        const made = next.examples.length;
        expect(made).toBeGreaterThanOrEqual(BATCH);
        expect(next.examples).toEqual(whole.examples.slice(first, first + made));
      }
      expect(step).toBeGreaterThan(STEPS / 2);
      expect(await lastTensors(killed)).toEqual(await lastTensors(calm));
    });
  }, 600_000);
});
