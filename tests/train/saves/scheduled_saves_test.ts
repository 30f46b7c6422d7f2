import { describe, expect, test } from "bun:test";
import { CairnError } from "../../../src/base/errors.ts";
import type { Engine } from "../../../src/checkpoint/engine/engine.ts";
import { openStorage } from "../../../src/storage/open_storage.ts";
import type { AutoSaveOptions } from "../../../src/train/saves/auto_save_options.ts";
import { AutoSaver } from "../../../src/train/saves/auto_saver.ts";
import {
  type FailedSave,
  type SaveRecord,
  ScheduledSaves,
} from "../../../src/train/saves/scheduled_saves.ts";
import { RunDirectory } from "../../../src/train/saves/run_directory.ts";
import type { Run } from "../../../src/train/loop/run.ts";
import { VirtualClock } from "../../helpers/virtual_clock.ts";

const STEP_MS = 10;
const RUN_ID = "0123456789abcdef0123456789abcdef";

/** What happens in the phases of a save. */
interface EngineScript {
  /** How long each takes, by the number of the save from 1. */
  readonly createMs?: (save: number) => number;
  readonly saveMs?: (save: number) => number;
  readonly commitMs?: (save: number) => number;
  /** What a phase fails with. */
  readonly fails?: (save: number, phase: "create" | "save" | "commit") => unknown;
}

/** An engine that only takes its time, and counts how many of its checkpoints are under way at once. */
class ScriptedEngine {
  readonly folders = [];
  readonly runId = RUN_ID;
  readonly resumedFrom = undefined;
  readonly location = "script:";
  readonly committed: string[] = [];
  most = 0;
  #underWay = 0;
  #saves = 0;
  readonly #clock: VirtualClock;
  readonly #script: EngineScript;

  constructor(clock: VirtualClock, script: EngineScript) {
    this.#clock = clock;
    this.#script = script;
  }

  async create(): Promise<void> {
    this.#saves++;
    this.#underWay++;
    this.most = Math.max(this.most, this.#underWay);
    await this.#phase("create", this.#script.createMs);
  }

  async save(): Promise<undefined> {
    await this.#phase("save", this.#script.saveMs);
    return undefined;
  }

  async commit({ tag }: { tag: string }, { signal }: { signal?: AbortSignal } = {}): Promise<object> {
    await this.#phase("commit", this.#script.commitMs);
    signal?.throwIfAborted();
    this.#underWay--;
    this.committed.push(tag);
    return { tag, path: this.pathOf(tag), warnings: [], written: { rawBytes: 0 } };
  }

  abort(): Promise<void> {
    this.#underWay--;
    return Promise.resolve();
  }

  list(): Promise<string[]> {
    return Promise.resolve([]);
  }

  pathOf(tag: string): string {
    return `script:${tag}.cairn`;
  }

  async #phase(
    phase: "create" | "save" | "commit",
    takes: (save: number) => number = () => 0,
  ): Promise<void> {
    const save = this.#saves;
    const ms = takes(save);
    if (ms > 0) await this.#clock.sleep(ms);
    const error = this.#script.fails?.(save, phase);
    if (error === undefined) return;
    // Nothing was begun, and so nobody calls abort().
    if (phase === "create") this.#underWay--;
    throw error;
  }
}

/** A run without tensors, as far as saving knows one. */
class FakeRun {
  readonly store = undefined;
  readonly measured = {};
  readonly currentEpoch = 1;
  /** No rank keeps a part of the optimiser for others. */
  readonly steps = { rules: {} };
  step = 0;
  readonly now: () => number;

  constructor(clock: VirtualClock) {
    this.now = () => clock.now();
  }

  state(): object {
    const { step } = this;
    return { step, epoch: 0, loader: {}, history: { loss: new Float32Array(), epochs: [] }, autoSaver: null };
  }
}

interface Simulated {
  readonly clock: VirtualClock;
  readonly engine: ScriptedEngine;
  readonly runDirectory: RunDirectory;
  readonly run: FakeRun;
  readonly saves: ScheduledSaves;
  readonly records: SaveRecord[];
  readonly failures: FailedSave[];
  readonly warnings: string[];
}

interface Simulation {
  readonly everySteps?: number;
  readonly steps?: number;
  readonly script?: EngineScript;
  readonly giveUp?: AbortSignal;
  /** After each step. */
  readonly onStep?: (step: number, made: Simulated) => void | Promise<void>;
}

/**
 * Trains on the virtual clock as the loop of a trainer does: a step, a save when it is due, and at the end nothing
 * under way.
 */
async function simulate(
  { everySteps = 5, steps = 20, script = {}, giveUp, onStep }: Simulation,
): Promise<Simulated> {
  const clock = new VirtualClock();
  const engine = new ScriptedEngine(clock, script);
  const run = new FakeRun(clock);
  const autoSaver = new AutoSaver({ everySteps });
  const runDirectory = await RunDirectory.open(engine as unknown as Engine);
  const records: SaveRecord[] = [];
  const failures: FailedSave[] = [];
  const warnings: string[] = [];
  const saves = new ScheduledSaves(run as unknown as Run, autoSaver, runDirectory, {
    onSave: (record) => void records.push(record),
    onFailure: (failure) => void failures.push(failure),
    onWarning: (message) => void warnings.push(message),
  }, giveUp);
  const made = { clock, engine, runDirectory, run, saves, records, failures, warnings };
  await clock.run((async () => {
    await runDirectory.survey();
    for (let step = 1; step <= steps; step++) {
      await clock.sleep(STEP_MS);
      run.step = step;
      await onStep?.(step, made);
      if (autoSaver.isDueAfterStep(step, 0) || saves.isRetryDue) await saves.save("step");
    }
    await saves.settled();
  })());
  return made;
}

/** What always holds: one save at a time, none lost silently, no time that runs backwards, nothing left. */
function expectSound({ engine, clock, records, failures }: Simulated, due: number): void {
  expect(engine.most).toBeLessThanOrEqual(1);
  expect(records.length + failures.length).toBe(due);
  expect(clock.sleepers).toBe(0);
  for (const { stallMs, durationMs } of records) {
    expect(stallMs).toBeGreaterThanOrEqual(0);
    expect(durationMs).toBeGreaterThanOrEqual(0);
  }
}

const stepsOf = (records: readonly { step: number }[]): number[] => records.map(({ step }) => step);
const storageFailed = (): CairnError => new CairnError("storage_failed", "the disk is on fire");

describe("automatic saving on a clock", () => {
  const overlaps: [name: string, everySteps: number, saveMs: number, stallMs: number][] = [
    ["takes no time", 5, 0, 0],
    ["takes half of an interval", 5, 25, 0],
    ["takes nearly a whole interval", 5, 49, 0],
    ["takes one and a half intervals", 5, 75, 25],
    ["takes three intervals", 5, 150, 100],
    ["takes ten intervals", 5, 500, 450],
    ["after every step takes nearly as long as a step", 1, 9, 0],
    ["after every step takes longer than a step", 1, 25, 15],
    ["after every step takes a hundred steps", 1, 1000, 990],
  ];
  for (const [name, everySteps, saveMs, stallMs] of overlaps) {
    test(`K2 a save that ${name}: none is left out, and training stands still no longer than it has to`, async () => {
      const made = await simulate({ everySteps, script: { saveMs: () => saveMs } });
      const due = 20 / everySteps;
      expectSound(made, due);
      expect(stepsOf(made.records)).toEqual(Array.from({ length: due }, (_, n) => everySteps * (n + 1)));
      expect(made.records.map((record) => record.stallMs)).toEqual(
        Array.from({ length: due }, (_, n) => n === 0 ? 0 : stallMs),
      );
      expect(made.warnings).toHaveLength(stallMs > 0 ? 1 : 0);
    });
  }

  for (const phase of ["createMs", "saveMs", "commitMs"] as const) {
    test(`K2 back-pressure: a slow ${phase.slice(0, -2)} now and then holds up the save after it and no other`, async () => {
      const made = await simulate({ script: { [phase]: (save: number) => save === 2 ? 120 : 1 } });
      expectSound(made, 4);
      expect(made.records.map(({ stallMs }) => stallMs)).toEqual([0, 0, 70, 0]);
      expect(made.warnings).toEqual([expect.stringContaining('"step-00000015" waits until "step-00000010"')]);
    });
  }

  const failing: [name: string, script: EngineScript, failed: number[]][] = [
    ["at create", { fails: (_, phase) => phase === "create" ? storageFailed() : undefined }, [5, 10, 15, 20]],
    ["at save", { fails: (_, phase) => phase === "save" ? storageFailed() : undefined }, [5, 10, 15, 20]],
    ["at commit", { fails: (_, phase) => phase === "commit" ? storageFailed() : undefined }, [5, 10, 15, 20]],
    ["with something that is no Error", { fails: (_, phase) => phase === "save" ? "no" : undefined }, [
      5,
      10,
      15,
      20,
    ]],
    ["every other time", { fails: (save) => save % 2 === 0 ? storageFailed() : undefined }, [10, 20]],
    ["late, while the next one waits", {
      saveMs: () => 80,
      fails: (save, phase) => save === 1 && phase === "save" ? storageFailed() : undefined,
    }, [5]],
  ];
  for (const [name, script, failed] of failing) {
    test(`K2 a save that fails ${name} is told, and stops neither training nor the saves after it`, async () => {
      const made = await simulate({ script });
      expectSound(made, 4);
      expect(stepsOf(made.failures)).toEqual(failed);
      expect(stepsOf(made.records)).toEqual([5, 10, 15, 20].filter((step) => !failed.includes(step)));
    });
  }

  test("K2 a hundred saves that fail are a hundred failures, and the next one works", async () => {
    const script: EngineScript = {
      saveMs: () => 3,
      fails: (save) => save <= 100 ? storageFailed() : undefined,
    };
    const made = await simulate({ everySteps: 1, steps: 101, script });
    expectSound(made, 101);
    expect(stepsOf(made.failures)).toEqual(Array.from({ length: 100 }, (_, n) => n + 1));
    expect(stepsOf(made.records)).toEqual([101]);
    expect(made.saves.durableStep).toBe(101);
  });

  test("K2 a name that another run took is given up once, and a save follows at the next step", async () => {
    const taken = new CairnError("already_exists", "it is there");
    const made = await simulate({
      script: {
        saveMs: () => 5,
        fails: (save, phase) => save === 2 && phase === "commit" ? taken : undefined,
      },
    });
    expectSound(made, 5);
    expect(made.engine.committed).toEqual([
      "step-00000005",
      "step-00000011-01234567",
      "step-00000015-01234567",
      "step-00000020-01234567",
    ]);
    expect(made.warnings).toEqual([expect.stringContaining("Another run saves into the same directory")]);
  });

  test("K2 a save that waits for one whose name was taken chooses its own name afterwards", async () => {
    const taken = new CairnError("already_exists", "it is there");
    const made = await simulate({
      script: {
        saveMs: () => 70,
        fails: (save, phase) => save === 1 && phase === "commit" ? taken : undefined,
      },
    });
    expectSound(made, 4);
    expect(made.engine.committed).toEqual([
      "step-00000010-01234567",
      "step-00000015-01234567",
      "step-00000020-01234567",
    ]);
  });

  const HOUR = 3_600_000;
  const jumps: [name: string, offsetMs: number][] = [
    ["an hour back", -HOUR],
    ["a day forward", 24 * HOUR],
    ["to before 1970", -1e13],
    ["by a minute, again and again", NaN],
  ];
  for (const [name, offsetMs] of jumps) {
    test(`K2 a clock that is set ${name} while a save is under way changes nothing but the figures`, async () => {
      const made = await simulate({
        script: { saveMs: () => 75 },
        onStep: (step, { clock }) => {
          if (Number.isNaN(offsetMs)) clock.offsetMs += step % 2 === 0 ? 60_000 : -60_000;
          else if (step === 7) clock.offsetMs = offsetMs;
        },
      });
      expectSound(made, 4);
      expect(stepsOf(made.records)).toEqual([5, 10, 15, 20]);
      // 20 steps, 25 ms of standing still at three of the saves, and the last save.
      expect(made.clock.elapsedMs).toBe(20 * STEP_MS + 3 * 25 + 75);
    });
  }

  for (const phase of ["createMs", "saveMs", "commitMs"] as const) {
    test(`K2 closing during the ${phase.slice(0, -2)} of a save waits for it, and later ones fail without a throw`, async () => {
      let closedAtMs = NaN;
      const made = await simulate({
        script: { [phase]: () => 30 },
        onStep: (step, { runDirectory, clock }) => {
          if (step === 6) void runDirectory.close().then(() => closedAtMs = clock.elapsedMs);
        },
      });
      expectSound(made, 4);
      expect([stepsOf(made.records), stepsOf(made.failures)]).toEqual([[5], [10, 15, 20]]);
      expect(closedAtMs).toBe(5 * STEP_MS + 30);
      expect(made.failures.map(({ error }) => (error as CairnError).code)).toEqual([
        "closed",
        "closed",
        "closed",
      ]);
    });
  }

  const deadlines: [name: string, step: number, saved: number[], failed: number[]][] = [
    ["before the first save", 4, [], [5, 10, 15, 20]],
    ["during a save", 7, [], [5, 10, 15, 20]],
    ["between two saves", 9, [5], [10, 15, 20]],
  ];
  for (const [name, at, saved, failed] of deadlines) {
    test(`K2 a deadline that is over ${name} gives up that and all later ones, with its reason`, async () => {
      const controller = new AbortController();
      const made = await simulate({
        script: { saveMs: () => 35 },
        giveUp: controller.signal,
        onStep: (step) => step === at ? controller.abort(new Error("over")) : undefined,
      });
      expectSound(made, 4);
      expect([stepsOf(made.records), stepsOf(made.failures)]).toEqual([saved, failed]);
      expect(new Set(made.failures.map(({ error }) => (error as Error).message))).toEqual(new Set(["over"]));
    });
  }

  const settings: [options: AutoSaveOptions, expected: "never" | typeof TypeError | typeof RangeError][] = [
    [{ interval: 0 }, "never"],
    [{ interval: null }, "never"],
    [{ interval: NaN }, TypeError],
    [{ interval: Infinity }, TypeError],
    [{ interval: 0.5 }, TypeError],
    [{ interval: -2 }, RangeError],
    [{ everySteps: 0 }, "never"],
    [{ everySteps: null }, "never"],
    [{ everySteps: NaN }, TypeError],
    [{ everySteps: Infinity }, TypeError],
    [{ everySteps: 2.5 }, TypeError],
    [{ everySteps: -1 }, RangeError],
  ];
  for (const [options, expected] of settings) {
    const [setting = ""] = Object.entries(options).map(([key, value]) => `${key} ${value}`);
    test(`K2 ${setting} ${expected === "never" ? "never saves" : "is refused"}`, () => {
      if (expected !== "never") return expect(() => new AutoSaver(options)).toThrow(expected);
      const saver = new AutoSaver(options);
      const steps = Array.from({ length: 100 }, (_, step) => step);
      expect(saver.isEnabled).toBe(false);
      expect(steps.some((step) => saver.isDueAfterStep(step, 0) || saver.isDueAfterEpoch(step, 99))).toBe(
        false,
      );
    });
  }
});

describe("automatic saving on a full disk", () => {
  /** A run's directory on a disk with so much space, which the test may change. */
  async function fullDirectory(name: string, options: { onDiskFull: "error" | "pause" | "evictOldest" }) {
    const clock = new VirtualClock();
    const storage = await openStorage(`memory:${name}`);
    const disk = { freeBytes: 0 };
    storage.freeBytes = () => Promise.resolve(disk.freeBytes);
    const runDirectory = await RunDirectory.open(`memory:${name}`, { ...options, clock });
    const run = new FakeRun(clock);
    const records: SaveRecord[] = [];
    const failures: FailedSave[] = [];
    const warnings: string[] = [];
    const saves = new ScheduledSaves(run as unknown as Run, new AutoSaver({ everySteps: 1 }), runDirectory, {
      onSave: (record) => void records.push(record),
      onFailure: (failure) => void failures.push(failure),
      onWarning: (message) => void warnings.push(message),
    });
    await runDirectory.survey();
    return { clock, disk, runDirectory, run, saves, records, failures, warnings };
  }

  test("K2 a save that pauses goes on when there is space, and says that it waits", async () => {
    const { clock, disk, run, saves, records, warnings } = await fullDirectory("k2-pause", {
      onDiskFull: "pause",
    });
    run.step = 1;
    await clock.run((async () => {
      await saves.save("step");
      await clock.sleep(45_000);
      expect(records).toEqual([]);
      disk.freeBytes = 1e9;
      await saves.settled();
    })());
    expect(records.map(({ step, durationMs }) => [step, durationMs])).toEqual([[1, 50_000]]);
    expect(warnings).toEqual([expect.stringContaining("it waits until space is freed")]);
  });

  test("K2 training that ends with an error does not wait for space", async () => {
    const { clock, run, saves, records, failures } = await fullDirectory("k2-leave", { onDiskFull: "pause" });
    const reason = new Error("enough");
    run.step = 1;
    await clock.run((async () => {
      await saves.save("step");
      await clock.sleep(1000);
      saves.leave(reason);
      await saves.settled();
    })());
    expect([records, failures.map(({ error }) => error)]).toEqual([[], [reason]]);
    expect([clock.elapsedMs, clock.sleepers]).toEqual([1000, 0]);
  });

  test("K2 where the oldest go, it says so", async () => {
    const { clock, disk, runDirectory, run, saves, records, warnings } = await fullDirectory("k2-evict", {
      onDiskFull: "evictOldest",
    });
    await clock.run((async () => {
      for (run.step = 1; run.step <= 4; run.step++) {
        // Space for three. What is deleted frees space for another.
        const { length } = await runDirectory.engine.list();
        disk.freeBytes = length < 3 ? 1e9 : 0;
        const remove = runDirectory.engine.remove.bind(runDirectory.engine);
        runDirectory.engine.remove = async (...args) => {
          await remove(...args);
          disk.freeBytes = 1e9;
        };
        await saves.save("step");
        await saves.settled();
      }
    })());
    expect(records).toHaveLength(4);
    expect((await runDirectory.engine.list()).sort()).toEqual([
      "step-00000002",
      "step-00000003",
      "step-00000004",
    ]);
    expect(warnings).toEqual([expect.stringContaining("the oldest checkpoints of this run go")]);
  });

  test("K2 a save without space fails, and the next one with space works", async () => {
    const { clock, disk, run, saves, records, failures } = await fullDirectory("k2-error", {
      onDiskFull: "error",
    });
    await clock.run((async () => {
      run.step = 1;
      await saves.save("step");
      await saves.settled();
      disk.freeBytes = 1e9;
      run.step = 2;
      await saves.save("step");
      await saves.settled();
    })());
    expect(failures.map(({ error }) => (error as CairnError).code)).toEqual(["disk_full"]);
    expect(stepsOf(records)).toEqual([2]);
  });
});
