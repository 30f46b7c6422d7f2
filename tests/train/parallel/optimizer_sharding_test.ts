import { Buffer } from "node:buffer";
import { describe, expect } from "bun:test";
import { CairnError } from "../../../src/base/errors.ts";
import type { Engine } from "../../../src/checkpoint/engine/engine.ts";
import { MirrorEngine } from "../../../src/checkpoint/compose/mirror_engine.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import * as ops from "../../../src/graph/ops.ts";
import { dropout, type Layer, normal, sequential } from "../../../src/nn/nn.ts";
import { adamw, ema, lamb, sgd } from "../../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { assertResumeExact } from "../../../src/train/assert_resume_exact.ts";
import type { TrainerOptions } from "../../../src/train/trainer.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { blobs, CLASSES, engineOn, FEATURES, smallRun } from "../fixtures.ts";
import { asRanks } from "./fixtures.ts";

const SHARDS = 4;

/** Parameters of several sizes, and no matmul, which would be compiled for each size. */
const layer: Layer = (x, scope) => {
  const table = scope.parameter("table", [40, FEATURES], normal(1));
  const scaled = ops.mul(x, ops.mean(table, { axes: 0 }));
  const shifted = ops.mul(ops.add(scaled, scope.parameter("shift", [FEATURES], normal(1))), scaled);
  const pairs = ops.reshape(shifted, [-1, CLASSES, FEATURES / CLASSES]);
  return ops.add(
    ops.mul(ops.sum(pairs, { axes: 2 }), scope.parameter("gain", [CLASSES], normal(1))),
    scope.parameter("bias", [CLASSES], normal(1)),
  );
};

function options(overrides: Partial<TrainerOptions> = {}): TrainerOptions {
  return smallRun({
    model: sequential(dropout(0.25), layer),
    optimizer: adamw({ learningRate: 0.02 }),
    clipGradients: { norm: 0.5 },
    ...overrides,
  });
}

/** The same with the optimiser shared out. */
function sharded(overrides: Partial<TrainerOptions> = {}): TrainerOptions {
  return options({ parallel: { shards: SHARDS, optimizerSharding: true }, ...overrides });
}

type Tensors = Readonly<Record<string, string>>;

function isMoment(name: string): boolean {
  return name.startsWith("optimizer.");
}

function pick(tensors: Tensors, isWanted: (name: string) => boolean): Tensors {
  return Object.fromEntries(Object.entries(tensors).filter(([name]) => isWanted(name)));
}

/** What a process has that has all shards, after so many steps. */
async function alone(gpu: GpuDevice, steps: number, run: TrainerOptions = options()) {
  const [only] = await asRanks(gpu, 1, SHARDS, () => run, async ({ trainer, tensors }) => {
    await trainer.train({ steps, progress: false });
    return { tensors: await tensors(), loss: [...trainer.history.loss] };
  });
  if (only === undefined) throw new Error("There is no rank");
  return only;
}

/** The tensors of a checkpoint, those of its state included. */
async function saved(engine: Engine, tag: string): Promise<Tensors> {
  const checkpoint = await engine.load(tag);
  try {
    const { reader } = checkpoint;
    const all: Record<string, string> = {};
    for (const { name } of reader.tensors) all[name] = Buffer.from(await reader.read(name)).toString("hex");
    return all;
  } finally {
    await checkpoint.close();
  }
}

/** Fails unless the ranks together have what one has that is alone, and each moment is on one of them. */
function expectShared(all: readonly { readonly tensors: Tensors }[], whole: Tensors): void {
  const moments = Object.keys(whole).filter(isMoment);
  const kept = all.map(({ tensors }) => Object.keys(tensors).filter(isMoment));
  expect(kept.flat().sort()).toEqual(moments.sort());
  for (const { tensors } of all) {
    expect(pick(tensors, (name) => !isMoment(name))).toEqual(pick(whole, (name) => !isMoment(name)));
  }
  expect(Object.assign({}, ...all.map(({ tensors }) => pick(tensors, isMoment)))).toEqual(
    pick(whole, isMoment),
  );
}

describe("ranks that share out the optimiser", () => {
  gpuTest("have the bits of those that do not, and each keeps its share of the moments only", async (gpu) => {
    const whole = await alone(gpu, 16);
    const bytesOf = (tensors: Tensors): number =>
      Object.values(pick(tensors, isMoment)).reduce((sum, hex) => sum + hex.length / 2, 0);
    for (const ranks of [1, 2, 3, 4]) {
      const all = await asRanks(gpu, ranks, SHARDS, () => sharded(), async ({ trainer, store, tensors }) => {
        await trainer.train({ steps: 16, progress: false });
        const slots = store.groups().filter(({ name }) => isMoment(name));
        return {
          tensors: await tensors(),
          loss: [...trainer.history.loss],
          bytes: slots.reduce((sum, { byteLength }) => sum + byteLength, 0),
        };
      });
      expectShared(all, whole.tensors);
      for (const { loss } of all) expect(loss).toEqual(whole.loss);
      // The table has 960 bytes, which take 1,024; the other three take 256 each.
      const shares = [[3584], [2048, 1536], [2048, 1024, 512], [2048, 512, 512, 512]][ranks - 1];
      expect(all.map(({ bytes }) => bytes)).toEqual(shares ?? []);
      expect(all.reduce((sum, { tensors }) => sum + bytesOf(tensors), 0)).toBe(bytesOf(whole.tensors));
    }
  });

  gpuTest(
    "have the same bits by an optimiser over whole tensors, and by one that freezes some",
    async (gpu) => {
      const groups = [
        { parameters: "*.shift", frozen: true },
        { parameters: "*.bias", learningRate: 0.5 },
      ];
      for (const optimizer of [lamb({ learningRate: 0.02 }), adamw({ learningRate: 0.02, groups })]) {
        const whole = await alone(gpu, 4, options({ optimizer }));
        const all = await asRanks(
          gpu,
          3,
          SHARDS,
          () => sharded({ optimizer }),
          async ({ trainer, tensors }) => {
            await trainer.train({ steps: 4, progress: false });
            return { tensors: await tensors() };
          },
        );
        expectShared(all, whole.tensors);
      }
    },
  );

  gpuTest(
    "save what those save that do not, and go on from one another on any number of ranks",
    async (gpu) => {
      const storage = new MemoryStorage();
      const train = async (ranks: number, run: TrainerOptions, steps: number) => {
        const engine = await engineOn(storage);
        return await asRanks(gpu, ranks, SHARDS, () => run, async ({ trainer, tensors }) => {
          trainer.autoSave({ savePath: engine, everySteps: 4 });
          const { step } = await trainer.resume();
          const report = await trainer.train({ steps, progress: false });
          return {
            step,
            saves: report.saves.length,
            failed: report.failedSaves.length,
            tensors: await tensors(),
          };
        });
      };
      const plain = await engineOn();
      const ofPlain = async (until: number) =>
        await asRanks(gpu, 1, SHARDS, () => options(), async ({ trainer, tensors }) => {
          trainer.autoSave({ savePath: plain, everySteps: 4 });
          await trainer.resume();
          await trainer.train({ steps: until, progress: false });
          return { tensors: await tensors() };
        });
      const steps = [[2, true], [4, true], [1, false], [3, true], [2, false], [1, true]] as const;
      for (const [index, [ranks, isSharded]] of steps.entries()) {
        const until = 5 * (index + 1);
        const all = await train(ranks, isSharded ? sharded() : options(), until);
        expect(all.map(({ step }) => step)).toEqual(all.map(() => until - 5));
        expect(all.map(({ saves }) => saves > 0)).toEqual(all.map((_, rank) => rank === 0));
        expect(all.map(({ failed }) => failed)).toEqual(all.map(() => 0));
        const [whole] = await ofPlain(until);
        if (isSharded) expectShared(all, whole?.tensors ?? {});
        else for (const { tensors } of all) expect(tensors).toEqual(whole?.tensors ?? {});
      }
      const engine = await engineOn(storage);
      const tags = await engine.list();
      expect(tags).toEqual(await plain.list());
      for (const tag of tags) expect(await saved(engine, tag)).toEqual(await saved(plain, tag));
    },
  );

  gpuTest("save and load by name together, and go on after a save that was refused", async (gpu) => {
    const engine = await engineOn();
    const all = await asRanks(gpu, 3, SHARDS, () => sharded(), async ({ trainer, tensors }, rank) => {
      if (rank === 0) trainer.autoSave({ savePath: engine, everySteps: 1000 });
      await trainer.train({ steps: 3, progress: false });
      const { info } = await trainer.save("mine");
      await trainer.train({ steps: 5, progress: false });
      const again = await trainer.save("mine").catch((error: unknown) => error);
      const { missing } = await trainer.load("mine");
      const { step } = trainer;
      await trainer.train({ steps: 5, progress: false });
      return { tag: info.tag, again: (again as CairnError).code, missing, step, tensors: await tensors() };
    });
    expectShared(all, (await alone(gpu, 5)).tensors);
    for (const { tensors: _, ...report } of all) {
      expect(report).toEqual({ tag: "mine", again: "already_exists", missing: [], step: 3 });
    }
  });

  gpuTest("go back on the GPU, each with what it keeps", async (gpu) => {
    const run = sharded({ rollback: { last: 2, everySteps: 2 } });
    const all = await asRanks(gpu, 2, SHARDS, () => run, async ({ trainer, tensors }) => {
      await trainer.train({ steps: 5, progress: false });
      await trainer.rollback(2);
      await trainer.train({ steps: 6, progress: false });
      return { tensors: await tensors() };
    });
    expectShared(all, (await alone(gpu, 6)).tensors);
  });

  gpuTest("begin the optimiser anew on each where another one is allowed", async (gpu) => {
    const storage = new MemoryStorage();
    const resumed = async (ranks: number, run: TrainerOptions) => {
      const savePath = await engineOn(storage);
      return await asRanks(gpu, ranks, SHARDS, () => run, async ({ trainer, tensors }) => {
        trainer.autoSave({ savePath, everySteps: 1000 });
        await trainer.resume({ allow: ["optimizer", "schedule"] });
        return { tensors: await tensors() };
      });
    };
    await asRanks(gpu, 2, SHARDS, () => sharded(), async ({ trainer }, rank) => {
      if (rank === 0) trainer.autoSave({ savePath: await engineOn(storage), everySteps: 1000 });
      await trainer.train({ steps: 3, progress: false });
    });
    const optimizer = sgd({ learningRate: 0.1, momentum: 0.9 });
    const [whole] = await resumed(1, options({ optimizer }));
    expectShared(await resumed(3, sharded({ optimizer })), whole?.tensors ?? {});
  });

  gpuTest("change the parameters of the model at once, whoever looks at them meanwhile", async (gpu) => {
    const weightsOf = (tensors: Tensors): string =>
      JSON.stringify(pick(tensors, (name) => name.startsWith("model.")));
    const [states = []] = await asRanks(gpu, 1, SHARDS, () => options(), async ({ trainer, tensors }) => {
      await trainer.run.initialize();
      const all = [weightsOf(await tensors())];
      for (let steps = 1; steps <= 3; steps++) {
        await trainer.train({ steps, progress: false });
        all.push(weightsOf(await tensors()));
      }
      return all;
    });
    const seen: string[] = [];
    await asRanks(gpu, 2, SHARDS, () => sharded(), async ({ trainer, tensors }) => {
      const { group } = trainer.run.steps.rules.owners ?? {};
      if (group === undefined) throw new Error("Nothing is shared out");
      const allGather = group.allGather.bind(group);
      group.allGather = async (bytes, callOptions) => {
        const all = await allGather(bytes, callOptions);
        if (trainer.run.steps.isInitialized) seen.push(weightsOf(await tensors()));
        return all;
      };
      await trainer.train({ steps: 3, progress: false });
    });
    expect(seen.length).toBeGreaterThan(10);
    expect(seen.filter((state) => !states.includes(state))).toEqual([]);
    expect(new Set(seen).size).toBeGreaterThan(2);
  });

  gpuTest("are refused where one of them does not", async (gpu) => {
    const optionsOf = (rank: number): TrainerOptions => rank === 1 ? options() : sharded();
    const errors = await asRanks(gpu, 2, SHARDS, optionsOf, async ({ trainer }) => {
      return await trainer.train({ steps: 1, progress: false }).catch((error: unknown) =>
        error as CairnError
      );
    });
    for (const error of errors) {
      expect((error as CairnError).code).toBe("state_mismatch");
      expect((error as CairnError).message).toContain(
        'rank 1 has the optimizerSharding "false", and rank 0 "true"',
      );
    }
  });

  gpuTest("refuse by name what they cannot do", async (gpu) => {
    const refusals = await asRanks(gpu, 2, SHARDS, () => sharded(), async ({ trainer }, rank) => {
      const found: string[] = [];
      const refused = async (work: () => Promise<unknown>): Promise<void> => {
        found.push(await work().then(() => "done", (error: unknown) => (error as Error).message));
      };
      await refused(() => assertResumeExact(trainer, { steps: 1 }));
      if (rank === 0) {
        trainer.autoSave({ savePath: await engineOn(), everySteps: 1000 });
      }
      await trainer.train({ steps: 2, progress: false });
      await trainer.save("whole");
      await refused(() => trainer.goto(1));
      await refused(() => trainer.load("whole", { strict: false }));
      if (rank === 0) {
        trainer.autoSave({ savePath: await MirrorEngine.open([new MemoryStorage(), new MemoryStorage()]) });
      }
      await refused(() => trainer.save("mirrored"));
      return found;
    });
    for (const [exact, goto, load, mirrored] of refusals) {
      expect(goto).toContain("goto() is not for ranks that keep a part each");
      expect(load).toContain("leave the options of load() out");
      expect(mirrored).toContain("save to one directory, or leave optimizerSharding out");
      expect(exact).toContain("takes one without optimizerSharding");
    }
    const averages = asRanks(
      gpu,
      2,
      SHARDS,
      () => sharded({ optimizer: ema(adamw({ learningRate: 0.02 }), { decay: 0.9 }) }),
      () => Promise.resolve(),
    );
    await expect(averages).rejects.toThrow("leave optim.ema out, or optimizerSharding");
    const wrong = { shards: SHARDS, optimizerSharding: "yes" as unknown as boolean };
    await expect(asRanks(gpu, 1, SHARDS, () => options({ parallel: wrong }), () => Promise.resolve())).rejects
      .toThrow("parallel.optimizerSharding is true or false, found string");
  });

  gpuTest(
    "save nothing after an error, as what others keep is gone, and leave the newest checkpoint",
    async (gpu) => {
      const engine = await engineOn();
      const errors = await asRanks(gpu, 2, SHARDS, () => sharded(), async ({ trainer }, rank) => {
        trainer.autoSave({ savePath: engine, everySteps: 2 });
        const onStep = ({ step }: { step: number }): void => {
          if (rank === 1 && step === 3) throw new Error("a cable was pulled");
        };
        return await trainer.train({ epochs: 50, progress: false, onStep }).catch((error: unknown) => error);
      });
      expect((errors[0] as CairnError).code).toBe("rank_failed");
      expect(await engine.list()).toEqual(["step-00000002"]);
    },
  );

  gpuTest("save the best by what they measure, and at the end of epochs", async (gpu) => {
    const train = async (ranks: number, run: TrainerOptions) => {
      const engine = await engineOn();
      await asRanks(gpu, ranks, SHARDS, () => run, async ({ trainer }) => {
        trainer.autoSave({
          savePath: engine,
          interval: 1,
          keep: { best: "val_loss" },
        });
        await trainer.train({ epochs: 2, progress: false });
      });
      const tags = await engine.list();
      return await Promise.all(tags.map(async (tag) => [tag, await saved(engine, tag)] as const));
    };
    const validation = blobs(6, { batchSize: 6 });
    expect(await train(2, sharded({ validation }))).toEqual(await train(1, options({ validation })));
  });
});
