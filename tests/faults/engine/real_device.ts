import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CairnError } from "../../../src/base/errors.ts";
import { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { runChild, runtimeCommand } from "../../helpers/child.ts";
import { gpuTestOptions } from "../../helpers/gpu.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";

const CHILD = runtimeCommand(new URL("./device_child.ts", import.meta.url));
const SILENCE_MS = 120_000;
const SETTLED_MS = 60_000;

/** Row J1 on a real device, in processes of their own. */
export async function realDevice(campaign: Campaign): Promise<void> {
  try {
    await (await GpuDevice.open(gpuTestOptions())).close();
  } catch (error) {
    if (!(error instanceof CairnError)) throw error;
    return campaign.skip(`J1 a real device: ${error.message}`);
  }
  await campaign.row("J1", "a real device is destroyed at every point of a save", async (row) => {
    const folder = mkdtempSync(join(tmpdir(), "cairn-device-"));
    try {
      await loseEverywhere(folder, row);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

async function loseEverywhere(folder: string, row: RowRecorder): Promise<void> {
  let slowestMs = 0;
  let processes = 0;
  for (let next = 0, isDone = false; !isDone;) {
    processes++;
    const end = await runChild([...CHILD, folder, String(next)], {
      silenceMs: SILENCE_MS,
      keepsErrors: true,
    });
    for (const [, verdict, at, tookMs, found] of end.output.matchAll(/^(STOOD|BAD) (\d+) (\d+) (.*)$/gm)) {
      row.point();
      slowestMs = Math.max(slowestMs, Number(tookMs));
      if (verdict === "BAD") row.fail(`point ${at}: ${found}`);
      else if (Number(tookMs) > SETTLED_MS) row.fail(`point ${at}: settled after ${tookMs} ms`);
    }
    isDone = /^DONE \d+$/m.test(end.output);
    if (isDone) break;
    const [, at = String(next), name] = [...end.output.matchAll(/^LOSE (\d+) (.*)$/gm)].at(-1) ?? [];
    row.point();
    row.fail(
      `point ${at} (${name}): the process ended with ${end.status ?? end.signal}: ${end.errors.slice(-300)}`,
    );
    if (Number(at) < next) return;
    next = Number(at) + 1;
  }
  row.note(`settled after at most ${slowestMs} ms; ${processes} process${processes === 1 ? "" : "es"}`);
}
