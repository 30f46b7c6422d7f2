import { describe, expect, test } from "bun:test";
import { CairnError } from "../../src/base/errors.ts";
import type { HostState } from "../../src/checkpoint/capture/state_types.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { adamw, ema, scheduleFreeAdamw } from "../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { Storage } from "../../src/storage/storage.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import type { Callback, StartEvent } from "../../src/train/callbacks/callback.ts";
import { CallbackList } from "../../src/train/callbacks/callback_list.ts";
import { earlyStopping } from "../../src/train/callbacks/early_stopping.ts";
import { reduceOnPlateau } from "../../src/train/callbacks/reduce_on_plateau.ts";
import { jsonlLog } from "../../src/train/log/jsonl_log.ts";
import { Trainer } from "../../src/train/trainer.ts";
import type { TrainOptions } from "../../src/train/train_options.ts";
import { gpuTest, gpuTestOptions } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { until } from "../helpers/turns.ts";
import { readFile } from "../storage/storage_contract.ts";
import { BATCH, blobs, engineOn, type Fixture, fixture, smallRun, withTrainer } from "./fixtures.ts";

/** Hears of losses and adds them up, as a state would. */
class Listener implements Callback {
  readonly name: string = "listener";
  readonly heard: { step: number; losses: number[] }[] = [];
  sum = 0;
  count = 0;

  onLosses({ step, losses }: { step: number; losses: Float32Array }): void {
    this.heard.push({ step, losses: [...losses] });
    for (const loss of losses) this.sum += loss;
    this.count += losses.length;
  }

  state(): { sum: number; count: number } {
    return { sum: this.sum, count: this.count };
  }

  loadState(state: HostState): void {
    const { sum, count } = (state ?? { sum: 0, count: 0 }) as { sum: number; count: number };
    this.sum = sum;
    this.count = count;
  }

  /** The step of each loss that it heard of. */
  get steps(): number[] {
    return this.heard.flatMap(({ step, losses }) => losses.map((_, index) => step + index));
  }
}

const QUIET = { progress: false } as const;
const upTo = (end: number): number[] => Array.from({ length: end }, (_, step) => step);

/** A run that saves into `storage` every `everySteps` steps. */
async function saving(
  gpu: GpuDevice,
  storage: Storage,
  everySteps: number,
  callbacks: readonly Callback[],
  overrides: Parameters<typeof smallRun>[0] = {},
): Promise<Fixture> {
  const made = fixture(gpu, smallRun({ ...overrides, callbacks }));
  made.trainer.autoSave({ savePath: await engineOn(storage), everySteps, keep: { last: 20 } });
  return made;
}

/** Trains, resumed in another process as it were, until each of these totals. */
async function trainedTo(
  gpu: GpuDevice,
  totals: readonly TrainOptions[],
  callbacks: () => readonly Callback[],
  overrides: Parameters<typeof smallRun>[0] = {},
) {
  const storage = new MemoryStorage();
  for (const [index, total] of totals.entries()) {
    const made = await saving(gpu, storage, 1, callbacks(), overrides);
    try {
      await made.trainer.resume();
      await made.trainer.train({ ...QUIET, ...total });
      if (index === totals.length - 1) {
        return { loss: [...made.trainer.history.loss], tensors: await made.tensors() };
      }
    } finally {
      await made.close();
    }
  }
  throw new RangeError("There is nothing to train to");
}

describe("onLosses", () => {
  gpuTest("has the loss of every step, once and in order, before what an epoch measured", async (gpu) => {
    const listener = new Listener();
    const atEpochs: number[] = [];
    const callback: Callback = { name: "epochs", onEpoch: () => void atEpochs.push(listener.count) };
    const data = blobs(90 * BATCH, { batchSize: BATCH });
    const options = smallRun({ data, callbacks: [listener, callback] });
    await withTrainer(gpu, options, async ({ trainer }) => {
      await trainer.train({ steps: 100, ...QUIET });
      expect(listener.steps).toEqual(upTo(100));
      expect(listener.heard.flatMap(({ losses }) => losses)).toEqual([...trainer.history.loss]);
      // While it trains, and not only at its end.
      expect(listener.heard.length).toBeGreaterThan(2);
      expect(atEpochs).toEqual([90]);
      await trainer.train({ steps: 101, ...QUIET });
      expect(listener.steps).toEqual(upTo(101));
    });
  });

  gpuTest(
    "goes on behind what the resumed checkpoint's callbacks were told, with nothing twice",
    async (gpu) => {
      const storage = new MemoryStorage();
      const first = new Listener();
      const begun = await saving(gpu, storage, 41, [first]);
      // The process is killed at step 60: what it heard after the checkpoint of step 41 is forgotten.
      await begun.trainer.train({ steps: 60, ...QUIET });
      await begun.close();
      await storage.remove("step-00000060.cairn");
      const second = new Listener();
      const resumed = await saving(gpu, storage, 1000, [second]);
      expect((await resumed.trainer.resume()).step).toBe(41);
      await resumed.trainer.train({ steps: 120, ...QUIET });
      const { loss } = resumed.trainer.history;
      expect(second.steps[0]).toBeLessThan(41);
      expect(second.steps).toEqual(upTo(120).slice(second.steps[0]));
      expect(second.count).toBe(120);
      const whole = loss.reduce((sum, each) => sum + each, 0);
      expect(second.sum).toBeCloseTo(whole, 3);
      await resumed.close();
    },
  );

  gpuTest("what callbacks keep in a checkpoint is the same however fast the GPU is read", async (gpu) => {
    const seen = async (everySteps: number): Promise<unknown> => {
      const storage = new MemoryStorage();
      const { trainer, close } = await saving(gpu, storage, everySteps, [new Listener()]);
      await trainer.train({ steps: 75, ...QUIET });
      await close();
      const other = await saving(gpu, storage, 1000, [new Listener()]);
      const checkpoint = await (await engineOn(storage)).load("step-00000075");
      const { callbacks } = await checkpoint.state() as { callbacks: unknown };
      await checkpoint.close();
      await other.close();
      return callbacks;
    };
    const states = [await seen(75), await seen(25)];
    expect(states[0]).toEqual(states[1]);
    expect(states[0]).toMatchObject({ told: 70, states: { listener: { count: 70 } } });
  });
});

describe("the state of a callback", () => {
  gpuTest("one that a resumed trainer lacks is named, and one that is new begins afresh", async (gpu) => {
    const storage = new MemoryStorage();
    const old = await saving(gpu, storage, 5, [{ ...new Listener(), name: "old", state: () => 7 }]);
    await old.trainer.train({ steps: 5, ...QUIET });
    await old.close();
    const loaded: HostState[] = [];
    const fresh: Callback = { name: "new", loadState: (state) => void loaded.push(state) };
    const { trainer, close } = await saving(gpu, storage, 5, [fresh]);
    const { warnings } = await trainer.resume();
    expect(warnings.join()).toContain('the state of the callback "old", which this trainer has not');
    expect(loaded).toEqual([]);
    await trainer.train({ steps: 6, ...QUIET });
    expect(loaded).toEqual([undefined]);
    await close();
  });

  gpuTest("is saved again as it was loaded, where nothing was trained in between", async (gpu) => {
    const storage = new MemoryStorage();
    const listener = new Listener();
    const begun = await saving(gpu, storage, 1000, [listener]);
    await begun.trainer.train({ epochs: 1, ...QUIET });
    await begun.trainer.save("begun");
    await begun.close();
    const { trainer, close } = await saving(gpu, storage, 1000, [new Listener()]);
    await trainer.load("begun");
    await trainer.save("again");
    await close();
    const again = new Listener();
    const last = await saving(gpu, storage, 1000, [again]);
    await last.trainer.load("again");
    await last.trainer.train({ steps: 9, ...QUIET });
    expect(again.count).toBe(9);
    expect(again.steps).toEqual([7, 8]);
    await last.close();
  });

  gpuTest(
    "one that refuses its state ends train() before any step, and may take it at the next call",
    async (gpu) => {
      const storage = new MemoryStorage();
      const begun = await saving(gpu, storage, 5, [new Listener()]);
      await begun.trainer.train({ steps: 5, ...QUIET });
      await begun.close();
      const listener = new Listener();
      let isWilling = false;
      const load = listener.loadState.bind(listener);
      listener.loadState = (state) => {
        if (!isWilling) throw new Error("not today");
        load(state);
      };
      const { trainer, close } = await saving(gpu, storage, 5, [listener]);
      await trainer.resume();
      const error = await thrownBy(() => trainer.train({ steps: 10, ...QUIET })) as CairnError;
      expect([error.code, error.message]).toEqual([
        "callback_failed",
        'The callback "listener" could not take its state from the checkpoint: not today',
      ]);
      expect(trainer.step).toBe(5);
      isWilling = true;
      await trainer.train({ steps: 10, ...QUIET });
      expect(listener.count).toBe(10);
      await close();
    },
  );

  gpuTest("one that cannot give its state fails the save, in a warning that names it", async (gpu) => {
    const broken: Callback = {
      name: "broken",
      state: () => {
        throw new Error("no state");
      },
    };
    const { trainer, close } = await saving(gpu, new MemoryStorage(), 2, [broken]);
    const { failedSaves, warnings } = await trainer.train({ steps: 3, ...QUIET }).catch(
      (error: CairnError) => {
        expect(error.code).toBe("not_saved");
        return { failedSaves: [error.cause], warnings: [error.message] };
      },
    );
    expect(failedSaves.length).toBeGreaterThan(0);
    expect(warnings.join()).toContain('The callback "broken" could not give its state: no state');
    await close();
  });
});

describe("a callback that throws", () => {
  gpuTest("ends the training with its name, the others are told, and the last step is saved", async (gpu) => {
    const undisturbed = await trainedTo(gpu, [{ steps: 16 }], () => [new Listener()]);
    const problem = new Error("out of paper");
    const storage = new MemoryStorage();
    const listener = new Listener();
    const ends: unknown[] = [];
    const printer: Callback = {
      name: "printer",
      onEpoch: ({ epoch }) => {
        if (epoch === 1) throw problem;
      },
      onEnd: ({ endedBy, error }) => void ends.push([endedBy, (error as CairnError).code]),
    };
    const epochs: number[] = [];
    const last: Callback = { name: "last", onEpoch: ({ epoch }) => void epochs.push(epoch) };
    const begun = await saving(gpu, storage, 1000, [printer, listener, last]);
    const error = await thrownBy(() => begun.trainer.train({ steps: 16, ...QUIET })) as CairnError;
    expect([error.code, error.message, error.details.value]).toEqual([
      "callback_failed",
      'The callback "printer" failed in onEpoch: out of paper',
      "printer",
    ]);
    expect(error.cause).toBe(problem);
    expect(epochs).toEqual([1]);
    expect(ends).toEqual([["error", "callback_failed"]]);
    await begun.close();
    const made = await saving(gpu, storage, 1000, [new Listener()]);
    expect((await made.trainer.resume()).step).toBe(7);
    await made.trainer.train({ steps: 16, ...QUIET });
    expect([...made.trainer.history.loss]).toEqual(undisturbed.loss);
    expect(await made.tensors()).toEqual(undisturbed.tensors);
    await made.close();
  });

  for (
    const what of ["onCompile", "onStart", "onStep", "onLosses", "onSaving", "onSave", "onWarning", "onEnd"]
  ) {
    gpuTest(`in ${what} is named, and the run goes on from where it was`, async (gpu) => {
      let isBroken = true;
      const broken: Callback = {
        name: "broken",
        [what]: () => {
          if (isBroken) throw new Error("broken");
        },
      };
      // Without saves, a signal is worth a warning.
      const { trainer, close } = what === "onWarning"
        ? fixture(gpu, smallRun({ callbacks: [broken] }))
        : await saving(gpu, new MemoryStorage(), 2, [broken]);
      const error = await thrownBy(() => trainer.train({ steps: 4, handleSignals: true, ...QUIET }));
      expect(error).toBeInstanceOf(CairnError);
      expect(error.message).toBe(`The callback "broken" failed in ${what}: broken`);
      isBroken = false;
      await trainer.train({ steps: 9, ...QUIET });
      expect(trainer.history.loss).toHaveLength(9);
      await close();
    });
  }
});

describe("a stop that a callback asks for", () => {
  gpuTest("ends the training at its next step, saved, and the report says who and why", async (gpu) => {
    const enough: Callback = {
      name: "enough",
      onLosses: ({ step, losses, stop }) => {
        if (step + losses.length >= 14) stop("that will do");
      },
    };
    const { trainer, close } = await saving(gpu, new MemoryStorage(), 1000, [enough]);
    const report = await trainer.train({ steps: 40, ...QUIET });
    expect(report).toMatchObject({
      endedBy: "stop",
      exitCode: 0,
      steps: 14,
      stoppedBy: { callback: "enough", reason: "that will do" },
    });
    expect(report.saves.at(-1)?.step).toBe(14);
    const next = await trainer.train({ steps: 15, ...QUIET });
    expect([next.endedBy, next.stoppedBy]).toEqual(["end", undefined]);
    await close();
  });
});

describe("earlyStopping of a trainer", () => {
  /** The loss of these goes up, as labels are noise. */
  const validation = blobs(24, { batchSize: BATCH }, 99);
  const run = { validation, optimizer: ema(adamw({ learningRate: 0.4 }), { decay: 0.5 }) };

  gpuTest(
    "puts the best weights back, averages too, and the last checkpoint resumes to the same end",
    async (gpu) => {
      const storage = new MemoryStorage();
      const made = await saving(gpu, storage, 1000, [earlyStopping({ patience: 2 })], run);
      const { trainer } = made;
      const report = await trainer.train({ epochs: 60, ...QUIET });
      expect(report).toMatchObject({ endedBy: "stop", stoppedBy: { callback: "earlyStopping" } });
      const losses = trainer.history.epochs.map(({ metrics }) => metrics.val_loss ?? NaN);
      const best = Math.min(...losses);
      expect(losses.indexOf(best)).toBe(losses.length - 3);
      const { loss } = await trainer.evaluate(validation);
      expect(loss).toBe(best);
      const { step } = trainer;
      const weights = await made.tensors();
      await made.close();

      const again = await saving(gpu, storage, 1000, [earlyStopping({ patience: 2 })], run);
      expect((await again.trainer.resume()).step).toBe(step);
      // The checkpoint has the last weights, of which another run would go on.
      expect((await again.trainer.evaluate(validation)).loss).toBe(losses.at(-1) ?? NaN);
      const resumed = await again.trainer.train({ epochs: 60, ...QUIET });
      expect([resumed.steps, resumed.endedBy]).toEqual([0, "stop"]);
      expect((await again.trainer.evaluate(validation)).loss).toBe(best);
      expect(await again.tensors()).toEqual(weights);
      await again.close();
    },
  );

  gpuTest("ends a run that was cut at the same epoch, with the same weights", async (gpu) => {
    const callbacks = () => [earlyStopping({ patience: 2 })];
    const whole = await trainedTo(gpu, [{ epochs: 60 }], callbacks, run);
    const cut = await trainedTo(
      gpu,
      [{ steps: 3 }, { epochs: 1 }, { steps: 12 }, { epochs: 60 }],
      callbacks,
      run,
    );
    expect(cut).toEqual(whole);
  });

  gpuTest("names a metric that is not measured before it trains", async (gpu) => {
    const options = smallRun({ callbacks: [earlyStopping({ metric: "val_loss" })] });
    await withTrainer(gpu, options, async ({ trainer }) => {
      const error = await thrownBy(() => trainer.train({ epochs: 1, ...QUIET }));
      expect(error.message).toContain('looks at "val_loss", which this run never measures');
      expect(trainer.step).toBe(0);
    });
  });
});

describe("reduceOnPlateau of a trainer", () => {
  for (const optimizer of [adamw({ learningRate: 0.3 }), scheduleFreeAdamw({ learningRate: 0.3 })]) {
    gpuTest(`has the same bits wherever the run is cut: ${optimizer.name}`, async (gpu) => {
      const validation = blobs(24, { batchSize: BATCH }, 99);
      const rates: (number | undefined)[] = [];
      const callbacks = (): Callback[] => [
        reduceOnPlateau({ factor: 0.25, patience: 2, minDelta: 10 }),
        { name: "rates", onEpoch: ({ run }) => void rates.push(run.learningRateAt(run.step)) },
      ];
      const whole = await trainedTo(gpu, [{ epochs: 9 }], callbacks, { validation, optimizer });
      const expected = rates.splice(0);
      expect(new Set(expected).size).toBe(5);
      const totals = [{ steps: 10 }, { epochs: 4 }, { steps: 45 }, { epochs: 9 }];
      const cut = await trainedTo(gpu, totals, callbacks, { validation, optimizer });
      expect(cut).toEqual(whole);
      expect(rates).toEqual(expected);
      const constant = await trainedTo(gpu, [{ epochs: 9 }], () => [], { validation, optimizer });
      expect(constant.tensors).not.toEqual(whole.tensors);
    });
  }

  gpuTest("a checkpoint that is loaded brings its rates along", async (gpu) => {
    const { trainer, close } = await saving(gpu, new MemoryStorage(), 7, [{
      name: "halve",
      onEpoch: ({ run }) => run.scaleLearningRate(0.5),
    }]);
    await trainer.train({ epochs: 3, ...QUIET });
    await trainer.load("step-00000007");
    const seen: (number | undefined)[] = [];
    await trainer.train({
      steps: 8,
      progress: { name: "rates", onStep: ({ run }) => void seen.push(run.learningRateAt(run.step)) },
    });
    expect(seen).toEqual([0.01]);
    await close();
  });
});

describe("callbacks of a run whose device is lost", () => {
  gpuTest("are told again from the checkpoint on, and a log has every step once", async () => {
    const storage = new MemoryStorage();
    const listener = new Listener();
    const starts: (string | undefined)[] = [];
    const store = await TensorStore.open(gpuTestOptions());
    const callbacks = [
      listener,
      jsonlLog("test://run/log", { storages: { test: () => storage } }),
      { name: "starts", onStart: ({ resumedFrom }: StartEvent) => void starts.push(resumedFrom) },
    ];
    const trainer = new Trainer(store, smallRun({ callbacks }));
    trainer.autoSave({ everySteps: 10, savePath: await engineOn() });
    const saved = new Set<number>();
    await trainer.train({
      steps: 25,
      ...QUIET,
      onDeviceLost: "rebuild",
      onSave: ({ step }) => void saved.add(step),
      onStep: async ({ step }) => {
        if (step !== 13 || starts.length > 1) return;
        await until(() => saved.has(10));
        store.gpu.device.destroy();
      },
    });
    const { loss } = trainer.history;
    expect(starts).toEqual([undefined, "step-00000010"]);
    expect(listener.count).toBe(25);
    expect(listener.sum).toBeCloseTo(loss.reduce((sum, each) => sum + each, 0), 3);
    const lines = (await readFile(storage, "log")).split("\n").slice(0, -1).map((line) => JSON.parse(line));
    expect(lines.filter(({ kind }) => kind === "step").map(({ step }) => step)).toEqual(
      upTo(25).map((step) => step + 1),
    );
    await trainer.close();
    await store.close();
  }, 600_000);
});

describe("a list of callbacks", () => {
  test("names what is none, two of one name, and an event that nobody tells of", () => {
    const of = (...callbacks: unknown[]) => () => new CallbackList(callbacks as Callback[]);
    expect(of({})).toThrow("A callback has a name");
    expect(of(7)).toThrow("A callback is an object with a name, found number");
    expect(of({ name: "a" }, { name: "a" })).toThrow('Two callbacks are called "a"');
    expect(of({ name: "a", onEpoch: 7 })).toThrow('onEpoch of the callback "a" is no function');
    expect(of({ name: "a", onBatch: () => {} })).toThrow('"a" has "onBatch", which nobody calls');
    expect(() => new CallbackList({} as Callback[])).toThrow("callbacks is a list");
  });
});
