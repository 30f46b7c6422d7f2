import { describe, expect } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { runChild, runtimeCommand } from "../../helpers/child.ts";
import { gpuTest } from "../../helpers/gpu.ts";

const SCRIPT = new URL("rank_process.ts", import.meta.url);

/**
 * Runs so many ranks, each in a process of its own; the last one gets a signal after step `signalAt`.
 *
 * @param sharding "sharded" where each keeps a part of what the optimiser has.
 */
async function runRanks(directory: string, size: number, steps: number, signalAt = 0, sharding = "") {
  return await Promise.all(Array.from({ length: size }, async (_, rank) => {
    const signal = rank === size - 1 ? signalAt : 0;
    const args = [directory, ...[rank, size, steps, signal, sharding].map(String)];
    const { status, output } = await runChild([...runtimeCommand(SCRIPT), ...args]);
    return { status, ...JSON.parse(output === "" ? "{}" : output) as { endedBy?: string; step?: number } };
  }));
}

describe("ranks in processes of their own", () => {
  gpuTest(
    "end at one step by a signal to one of them, and go on with a shared optimiser, then as one, with the same bits",
    async () => {
      const directory = await mkdtemp(path.join(os.tmpdir(), "cairn-parallel-"));
      try {
        const ended = await runRanks(`${directory}/a`, 2, 1000, 5);
        const [{ step = 0 } = {}] = ended;
        expect(ended.map(({ status, endedBy }) => [status, endedBy])).toEqual([[143, "SIGTERM"], [
          143,
          "SIGTERM",
        ]]);
        expect(ended[1]).toEqual(ended[0] ?? { status: 0 });
        const saved = (await readdir(`${directory}/a/checkpoints`)).filter((name) =>
          name.startsWith("step-")
        );
        expect(saved).toEqual([`step-${String(step).padStart(8, "0")}.cairn`]);
        const shared = await runRanks(`${directory}/a`, 2, step + 2, 0, "sharded");
        expect(shared.map(({ status, step }) => [status, step])).toEqual([[0, step + 2], [0, step + 2]]);
        const resumed = await runRanks(`${directory}/a`, 1, step + 4);
        expect(resumed).toEqual(await runRanks(`${directory}/b`, 1, step + 4));
        expect(resumed.map(({ status, step }) => [status, step])).toEqual([[0, step + 4]]);
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },
  );
});
