import { FileEngine, type FileEngineOptions } from "../../../src/checkpoint/engine/file_engine.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import { randomNumbers } from "../../container/samples.ts";

export const RUN_ID = "0123456789abcdef0123456789abcdef";

/** Numbers in a state, so that a state put together from two would be noticed. */
const LENGTH = 600;

/** The state at a step: every number in it is the step. */
export function stateOf(step: number): { step: number; data: Float32Array } {
  return { step, data: new Float32Array(LENGTH).fill(step) };
}

/** An engine whose clock and randomness are its own, so that every run of a campaign does the same. */
export async function engineOn(storage: Storage, options: FileEngineOptions = {}): Promise<FileEngine> {
  let nowMs = Date.UTC(2026, 0, 1);
  const next = randomNumbers(Number.parseInt((options.runId ?? RUN_ID).slice(0, 8), 16) || 1);
  return await FileEngine.open(storage, {
    runId: RUN_ID,
    codec: "raw",
    chunkBytes: 512,
    now: () => nowMs += 1000,
    random: (byteLength) => Uint8Array.from({ length: byteLength }, () => next() * 256),
    ...options,
  });
}

/** Creates, saves and commits the state of a step. */
export async function saveStep(
  engine: FileEngine,
  step: number,
  options: { tag?: string; overwrite?: boolean; signal?: AbortSignal } = {},
): Promise<void> {
  const { tag = String(step), overwrite = false, signal } = options;
  const aborting = signal === undefined ? {} : { signal };
  await engine.create(tag, { overwrite });
  await engine.save({ state: stateOf(step), provenance: { step, savedBy: "auto" } }, undefined, aborting);
  await engine.commit(tag, aborting);
}

/** The step that recovery goes on from; 0 when it finds none; "mixed" for a state that nobody saved. */
export async function recoveredStep(
  storage: Storage,
  options: FileEngineOptions = {},
): Promise<number | "mixed"> {
  const { checkpoint } = await recover(await engineOn(storage, options));
  if (checkpoint === undefined) return 0;
  try {
    return stepOfState(await checkpoint.state());
  } finally {
    await checkpoint.close();
  }
}

/** The step of a state that {@link stateOf} gave, or "mixed". */
export function stepOfState(state: unknown): number | "mixed" {
  const { step, data } = state as { step?: unknown; data?: unknown };
  const isWhole = typeof step === "number" && data instanceof Float32Array && data.length === LENGTH &&
    data.every((value) => value === step);
  return isWhole ? step : "mixed";
}

/** Names of temporary files at a place. */
export async function temporaryFiles(storage: Storage, directory = ""): Promise<string[]> {
  const entries = await storage.list(directory);
  return entries.map(({ name }) => name).filter((name) => name.startsWith(".tmp-"));
}
