import { describe, expect, test } from "bun:test";
import * as ops from "../../../src/graph/ops.ts";
import * as optim from "../../../src/nn/optim/optim.ts";
import type { Optimizer } from "../../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import type { TrainerOptions } from "../../../src/train/trainer.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { engineOn, type Fixture, withTrainer } from "../../train/fixtures.ts";
import { runOf, type Shapes } from "./given_gradients.ts";

const SHAPES: Shapes = { "body.weight": [5, 13], "body.bias": [5], "head.weight": [3] };
const SAVED_AT = 7;

/** Every optimiser that is exported, by its name. */
const OPTIMIZERS: Readonly<Record<string, () => Optimizer>> = {
  adadelta: () => optim.adadelta(),
  adagrad: () => optim.adagrad({ learningRateDecay: 0.1, initialAccumulatorValue: 0.1 }),
  adam: () => optim.adam({ weightDecay: 0.1 }),
  adamax: () => optim.adamax(),
  adamw: () => optim.adamw({ learningRate: optim.cosineDecay(0.01, 20) }),
  ema: () => optim.ema(optim.lion({ learningRate: 0.01 }), { decay: 0.9 }),
  fromOps: () =>
    optim.fromOps({
      name: "mine",
      learningRate: 0.1,
      slots: ["sum"],
      update: ({ parameter, gradient, learningRate, updates, slots: { sum } }) => {
        const next = ops.add(sum, ops.div(gradient, updates));
        return { parameter: ops.sub(parameter, ops.mul(next, learningRate)), slots: { sum: next } };
      },
    }),
  fromWgsl: () =>
    optim.fromWgsl({
      name: "mine",
      learningRate: 0.1,
      slots: ["sum"],
      wgsl: `
        sum[index] += gradient / f32(verdict.updates);
        parameter[index] -= learning_rate * sum[index];
      `,
    }),
  lamb: () => optim.lamb({ learningRate: 0.01 }),
  lion: () => optim.lion({ learningRate: 0.01, weightDecay: 0.1 }),
  muon: () => optim.muon({ adamw: { learningRate: 0.01 } }),
  rmsprop: () => optim.rmsprop({ centered: true, momentum: 0.9 }),
  scheduleFreeAdamw: () => optim.scheduleFreeAdamw({ learningRate: optim.linearWarmup(10, 0.01) }),
  sgd: () => optim.sgd({ learningRate: 0.05, momentum: 0.9, dampening: 0.1 }),
};

/** Trains to the end of the epoch, or is killed behind the first save. */
async function trainAndMaybeDie({ trainer }: Fixture, dies: boolean): Promise<void> {
  const controller = new AbortController();
  const onStep = ({ step }: { step: number }): void => {
    if (dies && step === SAVED_AT + 2) controller.abort(new Error("killed"));
  };
  const training = trainer.train({ epochs: 1, progress: false, signal: controller.signal, onStep });
  if (dies) expect((await thrownBy(() => training)).message).toBe("killed");
  else await training;
}

describe("a run with each optimizer", () => {
  test("OT-01 is one with every optimizer that is exported", () => {
    const parameters = [{ name: "weight", shape: [2, 2] }];
    expect(Object.values(OPTIMIZERS).every((make) => make().rulesFor(parameters).length === 1)).toBe(true);
    const schedules = ["constantRate", "oneCycle", "warmupStableDecay"];
    const isSchedule = (name: string): boolean =>
      schedules.includes(name) || /Decay$|Warmup$|Restarts$/.test(name);
    expect(Object.keys(optim).filter((name) => !isSchedule(name)).sort()).toEqual(Object.keys(OPTIMIZERS));
  });

  for (const [name, make] of Object.entries(OPTIMIZERS)) {
    gpuTest(`OT-01 ${name}: 20 steps, and 7, a kill, a resume and 13 give the same bits`, async (gpu) => {
      const storage = new MemoryStorage();
      // With clipping, whose norm is a number of the step, too.
      const options = (): TrainerOptions => runOf(make(), SHAPES, { clipGradients: { norm: 3 } });
      const undisturbed = await withTrainer(gpu, options(), async (made) => {
        await trainAndMaybeDie(made, false);
        return await made.tensors();
      });
      await withTrainer(gpu, options(), async (made) => {
        made.trainer.autoSave({ savePath: await engineOn(storage), everySteps: SAVED_AT });
        await trainAndMaybeDie(made, true);
      });
      await withTrainer(gpu, options(), async (made) => {
        made.trainer.autoSave({ savePath: await engineOn(storage) });
        expect((await made.trainer.resume()).step).toBe(SAVED_AT);
        await trainAndMaybeDie(made, false);
        expect(await made.tensors()).toEqual(undisturbed);
      });
    });
  }
});
