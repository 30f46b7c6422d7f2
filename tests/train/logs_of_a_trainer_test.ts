import { expect } from "bun:test";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { Storage } from "../../src/storage/storage.ts";
import type { Callback } from "../../src/train/callbacks/callback.ts";
import { csvLog } from "../../src/train/log/csv_log.ts";
import { jsonlLog } from "../../src/train/log/jsonl_log.ts";
import { tensorBoardLog } from "../../src/train/log/tensorboard_log.ts";
import { ownGpuTest } from "../helpers/gpu.ts";
import { readEventFile } from "../helpers/tensorboard_reader.ts";
import { readFile } from "../storage/storage_contract.ts";
import { BATCH, blobs, engineOn, fixture, smallRun } from "./fixtures.ts";

const TO = { steps: 50, progress: false } as const;

function logs(storage: Storage): Callback[] {
  const options = { storages: { test: () => storage } };
  return [
    csvLog("test://run/a.csv", options),
    jsonlLog("test://run/a.jsonl", options),
    tensorBoardLog("test://run", options),
  ];
}

type Line = {
  readonly kind: string;
  readonly step: number;
  readonly tag?: string;
  readonly resumedFrom?: string;
};

async function jsonLines(storage: Storage): Promise<Line[]> {
  const text = await readFile(storage, "a.jsonl");
  return text.split("\n").slice(0, -1).map((line) => JSON.parse(line) as Line);
}

/** What a log says of steps and of what was measured. */
async function curvesIn(storage: Storage): Promise<unknown> {
  const isOfCurve = ({ kind }: { kind: string }): boolean => ["step", "epoch", "validation"].includes(kind);
  const names = (await storage.list("")).map(({ name }) => name).filter((name) => name.startsWith("events"));
  const events = await Promise.all(
    names.sort().map(async (name) => {
      const reader = await storage.openRead(name);
      const bytes = new Uint8Array(reader.byteLength);
      for (let at = 0; at < bytes.length;) at += await reader.read(at, bytes.subarray(at));
      await reader.close();
      return readEventFile(bytes).scalars;
    }),
  );
  return {
    csv: (await readFile(storage, "a.csv")).split("\n").filter((line) =>
      /^(step|epoch|validation),/.test(line)
    ),
    jsonl: (await jsonLines(storage)).filter(isOfCurve),
    events: events.flat().filter(({ tag }) => tag !== "resume" && !tag.startsWith("save/")),
  };
}

ownGpuTest("logs of a run that was killed and resumed have the curves of an undisturbed one", async (gpu) => {
  const validation = { data: blobs(16, { batchSize: BATCH }, 9), everySteps: 9 };
  const runOn = async (storage: Storage, engine: Storage) => {
    const made = fixture(gpu, smallRun({ validation, callbacks: logs(storage), clipGradients: { norm: 1 } }));
    made.trainer.autoSave({ savePath: await engineOn(engine), everySteps: 11, keep: { last: 9 } });
    return made;
  };
  const whole = new MemoryStorage();
  const undisturbed = await runOn(whole, new MemoryStorage());
  await undisturbed.trainer.train(TO);
  await undisturbed.close();
  const expected = await curvesIn(whole);
  expect((await jsonLines(whole)).filter(({ kind }) => kind === "step")).toHaveLength(50);

  const cut = new MemoryStorage();
  const engine = new MemoryStorage();
  const first = await runOn(cut, engine);
  const problem = new Error("killed");
  await first.trainer.autoSave({ saveOnError: false }).train({
    ...TO,
    onStep: ({ step }) => {
      if (step === 40) throw problem;
    },
  }).catch(() => undefined);
  await first.close();
  await engine.remove("step-00000033.cairn");
  const second = await runOn(cut, engine);
  expect((await second.trainer.resume()).step).toBe(22);
  await second.trainer.train(TO);
  await second.close();
  expect(await curvesIn(cut)).toEqual(expected);
  const lines = await jsonLines(cut);
  expect(lines.filter(({ kind }) => kind === "start").map(({ step, resumedFrom }) => [step, resumedFrom]))
    .toEqual([[0, ""], [22, "step-00000022"]]);
  const saves = lines.filter(({ kind }) => kind === "save");
  expect(saves.map(({ tag }) => tag)).toEqual([11, 22, 33, 44, 50].map((step) => `step-000000${step}`));
  // Every record has what a page wants to show.
  for (const kind of ["step", "epoch", "validation", "save", "start", "end"]) {
    expect([kind, lines.filter((line) => line.kind === kind).length > 0]).toEqual([kind, true]);
  }
});
