import { describe, expect } from "bun:test";
import { CairnError } from "../../../src/base/errors.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import * as ops from "../../../src/graph/ops.ts";
import { dropout, type Layer, normal, sequential } from "../../../src/nn/nn.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { type Callback } from "../../../src/train/callbacks/callback.ts";
import { earlyStopping } from "../../../src/train/callbacks/early_stopping.ts";
import { jsonlLog } from "../../../src/train/log/jsonl_log.ts";
import type { TrainerOptions } from "../../../src/train/trainer.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { DataLoader } from "../../../src/data/data_loader.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { blobs, CLASSES, engineOn, FEATURES, smallRun } from "../fixtures.ts";
import { asRanks } from "./fixtures.ts";

/** Two features a class, scaled and added up: no matmul, which would be compiled for each size. */
const logits: Layer = (x, scope) => {
  const scaled = ops.mul(x, scope.parameter("scale", [FEATURES], normal(1)));
  const pairs = ops.reshape(scaled, [-1, CLASSES, FEATURES / CLASSES]);
  return ops.add(ops.sum(pairs, { axes: 2 }), scope.parameter("bias", [CLASSES], normal(1)));
};

const SHARDS = 4;

function options(overrides: Partial<TrainerOptions> = {}): TrainerOptions {
  return smallRun({ model: sequential(dropout(0.25), logits), ...overrides });
}

/** What a rank that was never disturbed has after so many steps. */
async function undisturbed(gpu: GpuDevice, steps: number, run: TrainerOptions = options()) {
  const [alone] = await asRanks(gpu, 1, SHARDS, () => run, async ({ trainer, tensors }) => {
    await trainer.train({ steps, progress: false });
    return { tensors: await tensors(), loss: [...trainer.history.loss] };
  });
  if (alone === undefined) throw new Error("There is no rank");
  return alone;
}

/** The error of every rank. */
async function errorsOf(
  gpu: GpuDevice,
  ranks: number,
  optionsOf: (rank: number) => TrainerOptions,
): Promise<CairnError[]> {
  return await asRanks(gpu, ranks, SHARDS, optionsOf, async ({ trainer }) => {
    const error = await trainer.train({ steps: 10, progress: false }).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (!(error instanceof CairnError)) throw new Error(`Expected an error of Cairn, found ${String(error)}`);
    return error;
  });
}

describe("ranks that train together", () => {
  gpuTest("begin with the weights of rank 0", async (gpu) => {
    const all = await asRanks(gpu, 2, SHARDS, () => options(), async ({ trainer, store, tensors }, rank) => {
      await trainer.run.initialize();
      if (rank === 1) store.write({ "model.1.bias": Float32Array.of(7, 8, 9) });
      await trainer.train({ steps: 3, progress: false });
      return { tensors: await tensors(), loss: [...trainer.history.loss] };
    });
    const alone = await undisturbed(gpu, 3);
    expect(all).toEqual([alone, alone]);
  });

  gpuTest("are refused where they differ, with what and where", async (gpu) => {
    const errors = await errorsOf(gpu, 3, (rank) => options({ seed: rank === 2 ? 12 : 11 }));
    expect(errors.map(({ code }) => code)).toEqual(["state_mismatch", "state_mismatch", "state_mismatch"]);
    expect(errors[0]?.message).toContain('rank 2 has the seed "12", and rank 0 "11"');
  });

  gpuTest(
    "save on rank 0, and go on with another number of ranks, with the bits of the undisturbed run",
    async (gpu) => {
      const storage = new MemoryStorage();
      const train = async (ranks: number, steps: number) => {
        const engine = await engineOn(storage);
        return await asRanks(gpu, ranks, SHARDS, () => options(), async ({ trainer, tensors }) => {
          trainer.autoSave({ savePath: engine, everySteps: 4 });
          const { resumedFrom, step } = await trainer.resume();
          const report = await trainer.train({ steps, progress: false });
          return {
            resumedFrom,
            step,
            saves: report.saves.length,
            tensors: await tensors(),
            loss: [...trainer.history.loss],
          };
        });
      };
      const first = await train(2, 6);
      expect(first.map(({ resumedFrom, saves }) => [resumedFrom, saves])).toEqual([[null, 2], [null, 0]]);
      const second = await train(4, 9);
      expect(second.map(({ step }) => step)).toEqual([6, 6, 6, 6]);
      const [third] = await train(1, 13);
      const alone = await undisturbed(gpu, 13);
      expect(third?.tensors).toEqual(alone.tensors);
      expect(third?.loss).toEqual(alone.loss);
    },
  );

  gpuTest("save and load by name together, through rank 0", async (gpu) => {
    const engine = await engineOn();
    const all = await asRanks(gpu, 2, SHARDS, () => options(), async ({ trainer, tensors }, rank) => {
      if (rank === 0) trainer.autoSave({ savePath: engine, everySteps: 1000 });
      await trainer.train({ steps: 3, progress: false });
      const { info } = await trainer.save("mine");
      await trainer.train({ steps: 5, progress: false });
      const { missing } = await trainer.load("mine");
      const { step } = trainer;
      await trainer.train({ steps: 5, progress: false });
      return { tag: info.tag, missing, step, tensors: await tensors(), loss: [...trainer.history.loss] };
    });
    const alone = await undisturbed(gpu, 5);
    const expected = { tag: "mine", missing: [], step: 3, ...alone };
    expect(all).toEqual([expected, expected]);
  });

  gpuTest("of another number of shards are another run", async (gpu) => {
    const engine = await engineOn();
    const resumed = async (shards: number) =>
      await asRanks(gpu, 2, shards, () => options(), async ({ trainer }) => {
        trainer.autoSave({ savePath: engine, everySteps: 2 });
        const outcome = await trainer.resume().catch((error: unknown) => error);
        if (outcome instanceof CairnError) return outcome.message;
        await trainer.train({ steps: 2, progress: false });
        return "";
      });
    await resumed(4);
    for (const message of await resumed(2)) expect(message).toContain("shards 4, this one 2");
  });

  gpuTest("end at the same step where one of them is stopped, and rank 0 has saved it", async (gpu) => {
    const engine = await engineOn();
    const all = await asRanks(gpu, 3, SHARDS, () => options(), async ({ trainer, tensors }, rank) => {
      trainer.autoSave({ savePath: engine, everySteps: 1000 });
      const onStep = ({ step }: { step: number }): void => {
        if (rank === 1 && step === 4) trainer.stop();
      };
      const { endedBy, exitCode, steps } = await trainer.train({ epochs: 50, progress: false, onStep });
      return { endedBy, exitCode, steps, tensors: await tensors() };
    });
    const alone = await undisturbed(gpu, 5);
    const expected = { endedBy: "stop", exitCode: 0, steps: 5, tensors: alone.tensors };
    expect(all as unknown[]).toEqual([expected, expected, expected]);
    expect(await engine.list()).toEqual(["step-00000005"]);
  });

  gpuTest("end at the same epoch by early stopping, with the best weights on each", async (gpu) => {
    const run = (): TrainerOptions =>
      options({
        callbacks: [earlyStopping({ metric: "loss", patience: 1, minDelta: 1000 })],
        validation: blobs(6, { batchSize: 6 }),
      });
    const train = async (ranks: number) =>
      await asRanks(gpu, ranks, SHARDS, run, async ({ trainer, tensors }) => {
        const { endedBy, steps } = await trainer.train({ epochs: 9, progress: false });
        return { endedBy, steps, tensors: await tensors() };
      });
    const [alone] = await train(1);
    expect([alone?.endedBy, alone?.steps]).toEqual(["stop", 14]);
    expect(await train(2) as unknown[]).toEqual([alone, alone]);
  });

  gpuTest("stop at the same step that is not finite, with the same error", async (gpu) => {
    // Example 41 is in the sixth batch.
    const inputs = Float32Array.from(
      { length: 56 * FEATURES },
      (_, index) => index === 41 * FEATURES ? NaN : index % 7,
    );
    const labels = Uint32Array.from({ length: 56 }, (_, index) => index % CLASSES);
    const data = DataLoader.from({
      inputs: HostTensor.from(inputs, [56, FEATURES]),
      labels: HostTensor.from(labels, [56]),
    }, { batchSize: 8 });
    const errors = await errorsOf(gpu, 2, () => options({ data }));
    expect(errors.map(({ code, message }) => [code, /step \d+/.exec(message)?.[0]])).toEqual([
      ["non_finite", "step 6"],
      ["non_finite", "step 6"],
    ]);
  });

  gpuTest("all end where one throws, and rank 0 saves how far they came", async (gpu) => {
    const engine = await engineOn();
    const errors = await asRanks(gpu, 2, SHARDS, () => options(), async ({ trainer }, rank) => {
      trainer.autoSave({ savePath: engine, everySteps: 1000 });
      const onStep = ({ step }: { step: number }): void => {
        if (rank === 1 && step === 3) throw new Error("a cable was pulled");
      };
      return await trainer.train({ epochs: 50, progress: false, onStep }).catch((error: unknown) => error);
    });
    expect(errors[1]).toEqual(new Error("a cable was pulled"));
    expect((errors[0] as CairnError).code).toBe("rank_failed");
    expect((errors[0] as CairnError).message).toContain("a cable was pulled");
    expect(await engine.list()).toEqual(["step-00000003"]);
  });

  gpuTest("write one log, and tell callbacks on each", async (gpu) => {
    const storage = new MemoryStorage();
    const told: number[] = [];
    await asRanks(gpu, 2, SHARDS, (rank) => {
      const counting: Callback = { name: "counting", onEpoch: () => void told.push(rank) };
      const log = jsonlLog(`test://log-${rank}.jsonl`, { storages: { test: () => storage } });
      return options({ callbacks: [counting, log] });
    }, async ({ trainer }) => {
      await trainer.train({ epochs: 1, progress: false });
    });
    expect(told.sort()).toEqual([0, 1]);
    expect((await storage.list("")).map(({ name }) => name)).toEqual(["log-0.jsonl"]);
  });
});
