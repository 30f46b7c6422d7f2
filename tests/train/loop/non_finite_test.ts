import { describe, expect } from "bun:test";
import { CairnError } from "../../../src/base/errors.ts";
import { saveCheckpoint } from "../../../src/checkpoint/compat/save_checkpoint.ts";
import { Snapshot } from "../../../src/checkpoint/snapshot.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { add, mul } from "../../../src/graph/ops/arithmetic.ts";
import { sqrt } from "../../../src/graph/ops/transcendental.ts";
import { crossEntropy, type Layer, linear, type Loss, relu, sequential } from "../../../src/nn/nn.ts";
import { adamw, sgd } from "../../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import type { Batch, BatchRequest, BatchSource } from "../../../src/data/batch_source.ts";
import type { NonFiniteDetails } from "../../../src/train/loop/non_finite.ts";
import type { TrainerOptions } from "../../../src/train/trainer.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import {
  BATCH,
  blobs,
  CLASSES,
  engineOn,
  FEATURES,
  type Fixture,
  HIDDEN,
  smallRun,
  withTrainer,
} from "../fixtures.ts";

const PER_EPOCH = 7;

/** The small run's data, where the batches at some steps are spoiled as long as `isSpoiled`. */
class Spoiled implements BatchSource {
  readonly batchSize = BATCH;
  readonly exampleCount: number;
  readonly inputs = { dtype: "f32", shape: [FEATURES] } as const;
  readonly labels = { dtype: "u32", shape: [] } as const;
  isSpoiled = true;
  /** Which element of the inputs. */
  place = 11;
  readonly #inner;
  readonly #steps: readonly number[];
  readonly #value: number;

  constructor(steps: readonly number[], value = NaN, count = PER_EPOCH * BATCH) {
    this.exampleCount = count;
    this.#inner = blobs(count, { batchSize: BATCH });
    this.#steps = steps;
    this.#value = value;
  }

  batchAt(request: BatchRequest): Batch {
    const { inputs, labels } = this.#inner.batchAt(request);
    const step = request.epoch * Math.floor(this.exampleCount / BATCH) + request.position;
    if (this.isSpoiled && this.#steps.includes(step)) (inputs as Float32Array)[this.place] = this.#value;
    return { inputs, labels };
  }

  indicesAt(request: BatchRequest): readonly number[] {
    return this.#inner.indicesAt(request);
  }
}

/** No dropout, so that what a batch does depends on the weights alone. */
function spoiledRun(data: BatchSource, overrides: Partial<TrainerOptions> = {}): TrainerOptions {
  const model = sequential(linear(FEATURES, HIDDEN), (x) => mul(x, 8), relu(), linear(HIDDEN, CLASSES));
  return smallRun({ model, data, ...overrides });
}

function detailsOf(error: Error): NonFiniteDetails {
  expect(error).toBeInstanceOf(CairnError);
  return (error as CairnError).details.value as NonFiniteDetails;
}

const QUIET = { progress: false } as const;

/** Everything but the control, after so many steps of an undisturbed run. */
async function cleanAfter(
  gpu: GpuDevice,
  steps: number,
  options: TrainerOptions,
): Promise<Record<string, string>> {
  return await withTrainer(gpu, options, async ({ trainer, tensors }) => {
    const stop = new AbortController();
    const onStep = ({ step }: { step: number }) => step === steps ? stop.abort() : undefined;
    await thrownBy(() => trainer.train({ epochs: 100, signal: stop.signal, onStep, ...QUIET }));
    return withoutControl(await tensors());
  });
}

function withoutControl(tensors: Record<string, string>): Record<string, string> {
  const { "trainer.control": _, ...rest } = tensors;
  return rest;
}

describe("a step that is not finite", () => {
  for (const [what, value] of [["NaN", NaN], ["an overflow", 3e38], ["-Infinity", -Infinity]] as const) {
    gpuTest(`TR-06 stops the run before it changes a bit: ${what}`, async (gpu) => {
      const data = new Spoiled([10], value);
      await withTrainer(gpu, spoiledRun(data), async ({ trainer, tensors }) => {
        const error = await thrownBy(() => trainer.train({ epochs: 4, ...QUIET }));
        expect(error.code).toBe("non_finite");
        expect(error.message).toContain("step 11 is not finite (epoch 2, batch 3, examples 24, 25, 26, 27");
        const details = detailsOf(error);
        expect([details.step, details.epoch, details.position]).toEqual([11, 2, 3]);
        expect(details.examples).toEqual([24, 25, 26, 27, 28, 29, 30, 31]);
        expect(trainer.step).toBe(10);
        expect(trainer.epoch).toBe(1);
        expect(trainer.history.loss).toHaveLength(10);
        expect(trainer.history.epochs).toHaveLength(1);
        expect(withoutControl(await tensors())).toEqual(
          await cleanAfter(gpu, 10, spoiledRun(new Spoiled([]))),
        );
      });
    });
  }

  gpuTest(
    "TR-06 is named by its first op whose result is not finite, and by the path of its layer",
    async (gpu) => {
      const first = async (value: number) =>
        await withTrainer(gpu, spoiledRun(new Spoiled([2], value)), async ({ trainer }) => {
          const error = await thrownBy(() => trainer.train({ epochs: 1, ...QUIET }));
          const { result } = detailsOf(error);
          expect(await trainer.findNonFinite()).toEqual(result);
          return result;
        });
      expect(await first(NaN)).toEqual({
        op: 'input "inputs"',
        layer: undefined,
        shape: [BATCH, FEATURES],
        phase: "forward",
        value: NaN,
        index: [1, 5],
        count: 1,
        firstExample: 0,
        parameter: undefined,
      });
      const overflow = await first(3.4e38);
      expect([overflow?.op, overflow?.phase, overflow?.shape]).toEqual(["mul", "forward", [BATCH, HIDDEN]]);
      expect(Math.abs(overflow?.value ?? 0)).toBe(Infinity);
      expect(overflow?.parameter).toMatch(/^0\./);
      expect(overflow?.layer).toBe("1");
    },
  );

  gpuTest(
    "TR-06 is named by the layer that a gradient is of, where it comes up on the way back",
    async (gpu) => {
      // The root of 0 is 0, and how it changes there is infinite.
      const root: Layer = (x) => sqrt(mul(x, 0));
      const model = sequential(linear(FEATURES, HIDDEN), sequential(relu(), root), linear(HIDDEN, CLASSES));
      await withTrainer(gpu, spoiledRun(new Spoiled([]), { model }), async ({ trainer }) => {
        const error = await thrownBy(() => trainer.train({ epochs: 1, ...QUIET }));
        const { result } = detailsOf(error);
        expect([result?.phase, result?.layer]).toEqual(["backward", "1.1"]);
        expect(error.message).toContain('(backward, in layer "1.1"');
      });
    },
  );

  gpuTest("TR-06 is looked for piece by piece, where batches are computed so", async (gpu) => {
    for (
      const [value, op, shape] of [[NaN, 'input "inputs"', [4, FEATURES]], [3.4e38, "mul", [
        4,
        HIDDEN,
      ]]] as const
    ) {
      const data = new Spoiled([2], value);
      // Of example 5, which is in the second piece.
      data.place = 5 * FEATURES + 2;
      await withTrainer(gpu, spoiledRun(data, { microBatchSize: 4 }), async ({ trainer, tensors }) => {
        const error = await thrownBy(() => trainer.train({ epochs: 1, ...QUIET }));
        const { result } = detailsOf(error);
        expect([result?.op, result?.shape, result?.firstExample]).toEqual([op, [...shape], 4]);
        expect(result?.index[0]).toBe(1);
        expect(error.message).toContain("of the examples from 4 on");
        const before = await tensors();
        expect(await trainer.findNonFinite()).toEqual(result);
        expect(await tensors()).toEqual(before);
      });
    }
  });

  gpuTest("TR-06 is looked for in pieces by the weights of the whole batch", async (gpu) => {
    const loss: Loss = (output, labels) => {
      const { value } = crossEntropy()(output, labels);
      return { value: mul(value, 1e37), weight: add(mul(value, 0), 1e-3) };
    };
    const run = spoiledRun(new Spoiled([]), { loss, microBatchSize: 4 });
    await withTrainer(gpu, run, async ({ trainer }) => {
      const error = await thrownBy(() => trainer.train({ epochs: 1, ...QUIET }));
      const { result } = detailsOf(error);
      expect([result?.phase, result?.layer, Math.abs(result?.value ?? 0)]).toEqual([
        "forward",
        undefined,
        Infinity,
      ]);
    });
  });

  gpuTest("TR-06 is found in the gradients, too, where the loss is finite", async (gpu) => {
    // d sqrt(x) at 0 is infinite, and times 0 it is NaN.
    const loss: Loss = (output, labels) => sqrt(mul(crossEntropy()(output, labels).value, 0));
    await withTrainer(gpu, spoiledRun(new Spoiled([]), { loss }), async ({ trainer, tensors }) => {
      await trainer.evaluate(blobs(8, { batchSize: BATCH }));
      const before = await tensors();
      const error = await thrownBy(() => trainer.train({ epochs: 1, ...QUIET }));
      expect(error.code).toBe("non_finite");
      expect(detailsOf(error).result?.phase).toBe("backward");
      expect(trainer.step).toBe(0);
      expect(withoutControl(await tensors())).toEqual(withoutControl(before));
    });
  });

  gpuTest(
    "is repeated by the next train(), and with a mended batch all bits are those of a clean run",
    async (gpu) => {
      const data = new Spoiled([40]);
      const clean = await cleanAfter(gpu, 56, spoiledRun(new Spoiled([])));
      await withTrainer(gpu, spoiledRun(data), async ({ trainer, tensors }) => {
        for (let attempt = 0; attempt < 2; attempt++) {
          const error = await thrownBy(() => trainer.train({ epochs: 8, ...QUIET }));
          expect([error.code, trainer.step]).toEqual(["non_finite", 40]);
        }
        data.isSpoiled = false;
        expect((await trainer.train({ epochs: 8, ...QUIET })).steps).toBe(16);
        const after = await tensors();
        expect(withoutControl(after)).toEqual(clean);
        expect(after["trainer.control"]).toBe("00000000000000003800000000000000");
      });
    },
  );

  gpuTest("that was not noticed yet is taken back when the training is aborted", async (gpu) => {
    const data = new Spoiled([3]);
    await withTrainer(gpu, spoiledRun(data), async ({ trainer }) => {
      const stop = new AbortController();
      const reason = new Error("enough");
      const onStep = ({ step }: { step: number }) => step === 6 ? stop.abort(reason) : undefined;
      expect(await thrownBy(() => trainer.train({ epochs: 2, signal: stop.signal, onStep, ...QUIET }))).toBe(
        reason,
      );
      expect(trainer.step).toBe(3);
      expect(trainer.history.loss).toHaveLength(3);
      data.isSpoiled = false;
      expect((await trainer.train({ epochs: 1, ...QUIET })).steps).toBe(4);
    });
  });

  gpuTest("leaves every result finite to find for a run that goes well", async (gpu) => {
    await withTrainer(gpu, spoiledRun(new Spoiled([])), async ({ trainer, tensors }) => {
      await trainer.train({ epochs: 1, ...QUIET });
      const before = await tensors();
      expect(await trainer.findNonFinite()).toBeUndefined();
      expect(await tensors()).toEqual(before);
    });
  });

  gpuTest("an unknown policy is refused", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const error = await thrownBy(() =>
        trainer.train({ epochs: 1, onNonFinite: "ignore" as "skip", ...QUIET })
      );
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toBe('onNonFinite is "stop" or "skip", found "ignore"');
    });
  });
});

describe("a step that is not finite, skipped", () => {
  /** The batches of a run in which some are not there at all. */
  class Without extends Spoiled {
    readonly #left: readonly number[];
    constructor(missing: readonly number[]) {
      super([], NaN, (PER_EPOCH - missing.length) * BATCH);
      this.#left = Array.from({ length: PER_EPOCH }, (_, position) => position).filter((at) =>
        !missing.includes(at)
      );
    }
    override batchAt(request: BatchRequest): Batch {
      const all = blobs(PER_EPOCH * BATCH, { batchSize: BATCH });
      return all.batchAt({ ...request, position: this.#left[request.position] as number });
    }
  }

  const optimizers = {
    adamw: adamw({ learningRate: 0.02, weightDecay: 0.1 }),
    "sgd with momentum": sgd({ learningRate: 0.05, momentum: 0.9, weightDecay: 0.01 }),
  };
  for (const [name, optimizer] of Object.entries(optimizers)) {
    gpuTest(
      `TR-06 leaves the bits of a run without those batches, moments and bias corrections included: ${name}`,
      async (gpu) => {
        const run = (data: BatchSource) =>
          withTrainer(gpu, spoiledRun(data, { optimizer }), async ({ trainer, tensors }) => {
            const report = await trainer.train({ epochs: 1, onNonFinite: "skip", ...QUIET });
            const all = await tensors();
            const trained = Object.entries(all).filter(([tensor]) => !tensor.startsWith("trainer."));
            return { report, trained, control: all["trainer.control"], loss: [...trainer.history.loss] };
          });
        const skipped = await run(new Spoiled([0, 2, 3]));
        const without = await run(new Without([0, 2, 3]));
        expect(skipped.trained).toEqual(without.trained);
        expect(skipped.loss.filter((loss) => !Number.isNaN(loss))).toEqual(without.loss);
        expect(skipped.control).toBe("00000000000000000400000003000000");
      },
    );
  }

  gpuTest("TR-06 is counted in the report and in the step, and warned of once", async (gpu) => {
    await withTrainer(gpu, spoiledRun(new Spoiled([1, 8, 9])), async ({ trainer }) => {
      const report = await trainer.train({ epochs: 2, onNonFinite: "skip", ...QUIET });
      expect([report.steps, trainer.step]).toEqual([14, 14]);
      expect(report.skipped.map(({ step, epoch, position }) => [step, epoch, position])).toEqual([
        [2, 1, 1],
        [9, 2, 1],
        [10, 2, 2],
      ]);
      expect(report.skipped[0]?.examples?.[0]).toBe(8);
      expect(report.warnings).toHaveLength(1);
      expect(report.warnings[0]).toContain(
        "Step 2 is not finite and its batch is skipped (epoch 1, batch 1)",
      );
      expect(trainer.history.skipped).toEqual([1, 8, 9]);
      // The mean of an epoch is over the batches that were trained on.
      const losses = [...trainer.history.loss].slice(0, 7).filter((loss) => !Number.isNaN(loss));
      const mean = losses.reduce((sum, loss) => sum + loss, 0) / 6;
      expect(trainer.history.epochs[0]?.metrics.loss).toBeCloseTo(mean, 12);
      const more = await trainer.train({ epochs: 3, onNonFinite: "skip", ...QUIET });
      expect([more.skipped, more.warnings]).toEqual([[], []]);
    });
  });

  gpuTest("resumes with the bits of a run that was not disturbed", async (gpu) => {
    const storage = new MemoryStorage();
    const options = () => spoiledRun(new Spoiled([1, 5, 8, 12]));
    const whole = await withTrainer(gpu, options(), async ({ trainer, tensors }) => {
      await trainer.train({ epochs: 3, onNonFinite: "skip", ...QUIET });
      return await tensors();
    });
    await withTrainer(gpu, options(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      await trainer.train({ epochs: 1, onNonFinite: "skip", ...QUIET });
    });
    await withTrainer(gpu, options(), async ({ trainer, tensors }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      await trainer.resume();
      const report = await trainer.train({ epochs: 3, onNonFinite: "skip", ...QUIET });
      expect(report.skipped.map(({ step }) => step)).toEqual([9, 13]);
      expect(await tensors()).toEqual(whole);
      expect(trainer.history.skipped).toEqual([1, 5, 8, 12]);
    });
  });
});

describe("after a step that stopped the run", () => {
  /** Trains until step 5 stops it, with a save after every step. */
  async function stopped(
    gpu: GpuDevice,
    body: (made: Fixture, storage: MemoryStorage, data: Spoiled) => Promise<void>,
  ) {
    const storage = new MemoryStorage();
    const data = new Spoiled([5]);
    await withTrainer(gpu, spoiledRun(data), async (made) => {
      made.trainer.autoSave({ everySteps: 1, stepName: "s{step}", savePath: await engineOn(storage) });
      expect((await thrownBy(() => made.trainer.train({ epochs: 2, ...QUIET }))).code).toBe("non_finite");
      await body(made, storage, data);
    });
  }

  gpuTest("nothing is committed: what was saved before is all there is", async (gpu) => {
    await stopped(gpu, async ({ trainer }, storage) => {
      expect(trainer.step).toBe(5);
      const files = (await storage.list("")).map(({ name }) => name).filter((name) =>
        name.endsWith(".cairn")
      );
      expect(files.sort()).toEqual(["s1.cairn", "s2.cairn", "s3.cairn", "s4.cairn", "s5.cairn"]);
      expect((await storage.list("")).filter(({ name }) => name.includes("tmp"))).toEqual([]);
    });
  });

  gpuTest("no way of saving the store commits: save(), saveCheckpoint() and Snapshot refuse", async (gpu) => {
    await stopped(gpu, async ({ trainer, store }, storage) => {
      const before = await storage.list("");
      const snapshot = new Snapshot(await engineOn(storage), { store });
      const ways = {
        save: () => trainer.save("by-hand"),
        saveCheckpoint: async () => await saveCheckpoint(await engineOn(storage), { store }, { tag: "all" }),
        Snapshot: async () => await (await snapshot.save(77)).wait(),
        "without the control": async () =>
          await saveCheckpoint(await engineOn(storage), { store, excludedTensors: ["trainer.control"] }, {
            tag: "less",
          }),
      };
      for (const way of Object.values(ways)) {
        const error = await thrownBy(way);
        expect(error.code).toBe("non_finite");
        expect(error.message).toContain("step 6 was not finite");
      }
      await snapshot.close().catch(() => undefined);
      expect(await storage.list("")).toEqual(before);
    });
  });

  gpuTest("resume() and load() of a sound checkpoint go on, and it is saved again", async (gpu) => {
    await stopped(gpu, async ({ trainer }, _, data) => {
      await trainer.load("s3");
      expect(trainer.step).toBe(3);
      await trainer.save("after-load");
      expect((await trainer.resume()).step).toBeGreaterThanOrEqual(3);
      data.isSpoiled = false;
      const report = await trainer.train({ epochs: 1, ...QUIET });
      expect(trainer.step).toBe(7);
      expect(report.failedSaves).toEqual([]);
    });
  });
});
