import { describe, expect, test } from "bun:test";
import type { ExampleSpec } from "../../../src/data/batch_source.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { Model } from "../../../src/nn/model.ts";
import { adamw, cosineDecay, type Optimizer, sgd } from "../../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { ParameterRules } from "../../../src/train/step/parameter_rules.ts";
import { StepMemory } from "../../../src/train/step/step_program.ts";
import { stepValues } from "../../../src/train/step/step_values.ts";
import { updateRanges } from "../../../src/train/step/update_ranges.ts";
import { Trainer } from "../../../src/train/trainer.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { expectClose } from "../../kernels/numbers.ts";
import { adamTwin, sgdTwin } from "../../kernels/twins/optimizer_twins.ts";
import { engineOn, withTrainer } from "../../train/fixtures.ts";
import { runOf, SHAPES, trained, twinOf, weightsOf } from "./given_gradients.ts";

const TOLERANCE = { absolute: 2e-6, relative: 2e-6 };

const GROUPED = adamw({
  learningRate: 0.01,
  weightDecay: 0.5,
  decayBiasesAndNorms: false,
  groups: [
    { parameters: "head.*", learningRate: cosineDecay(0.05, 20), weightDecay: 0.1 },
    { parameters: [/encoder\.b/, "nor*"], learningRate: 0.02, weightDecay: 0.3 },
  ],
});

const FROZEN = sgd({
  learningRate: 0.05,
  momentum: 0.9,
  weightDecay: 0.1,
  groups: [{ parameters: "encoder.*", frozen: true }],
});

/** What a step updates, and the memory that it takes for that. */
async function updated(
  gpu: GpuDevice,
  optimizer: Optimizer,
  look: (ranges: ReturnType<typeof updateRanges>, memory: StepMemory, store: TensorStore) => unknown,
): Promise<void> {
  const store = TensorStore.on(gpu);
  const run = runOf(optimizer);
  const names = Object.entries(SHAPES).map(([name, shape]) => ({ name, shape }));
  const rules = new ParameterRules(optimizer, names);
  const input = run.data.inputs as ExampleSpec;
  const model = Model.define(store, run.model, input, 1, (parameters) => rules.laidOut(parameters));
  rules.defineSlots(model);
  const memory = new StepMemory(model, stepValues({ model, rules, loss: run.loss, data: run.data }));
  try {
    await look(updateRanges(model, rules, memory.gradients, rules.slotGroups(store)), memory, store);
  } finally {
    memory.close();
    await store.close();
  }
}

describe("groups of parameters", () => {
  gpuTest("OT-02 have their own rate and decay, and biases and norms none when asked", async (gpu) => {
    const { before, after } = await trained(gpu, runOf(GROUPED));
    const rate = cosineDecay(0.05, 20);
    const hyperparameters: Record<string, { lr: number | ((t: number) => number); weightDecay: number }> = {
      "encoder.weight": { lr: 0.01, weightDecay: 0.5 },
      // One axis: no decay, whatever the group says.
      "encoder.bias": { lr: 0.02, weightDecay: 0 },
      "norm.weight": { lr: 0.02, weightDecay: 0 },
      "head.weight": { lr: (t) => rate(t - 1), weightDecay: 0.1 },
      "head.bias": { lr: (t) => rate(t - 1), weightDecay: 0 },
    };
    for (const [name, { lr, weightDecay }] of Object.entries(hyperparameters)) {
      const expected = twinOf(
        (state, gradient, t) => {
          const now = typeof lr === "number" ? lr : lr(t);
          return adamTwin({ lr: now, weightDecay, isDecoupled: true })(state, gradient, t);
        },
        name,
        before,
      );
      expectClose(after.get(name) ?? [], expected, TOLERANCE);
    }
  });

  gpuTest("OT-02 lie together, so that a group is one dispatch", async (gpu) => {
    await updated(gpu, GROUPED, (ranges, { gradients }, store) => {
      // Decaying: encoder.weight, head.weight. Not: encoder.bias with norm.weight, and head.bias.
      const count = (bytes: number): number => bytes / 4;
      expect(ranges.map(({ parameter }) => count(parameter.size))).toEqual([64, 128, 256, 64]);
      expect(store.group("model").tensors.map(({ name }) => name)).toEqual([
        "model.encoder.weight",
        "model.encoder.bias",
        "model.norm.weight",
        "model.head.weight",
        "model.head.bias",
      ]);
      expect(gradients.byteLength).toBe(store.group("model").byteLength);
    });
    const interleaved = sgd({ learningRate: 1, groups: [{ parameters: "*.weight", learningRate: 2 }] });
    await updated(gpu, interleaved, (ranges, _, store) => {
      expect(store.group("model").tensors.map(({ name }) => name)).toEqual([
        "model.encoder.weight",
        "model.norm.weight",
        "model.head.weight",
        "model.encoder.bias",
        "model.head.bias",
      ]);
      expect(ranges.length).toBe(2);
    });
  });

  gpuTest("OT-02 of which a parameter is in the first that matches", async (gpu) => {
    const groups = [{ parameters: "head.bias", learningRate: 0.5 }, {
      parameters: "head.*",
      learningRate: 0.25,
    }];
    const { before, after } = await trained(gpu, runOf(sgd({ learningRate: 0.125, groups })));
    for (const [name, lr] of [["head.bias", 0.5], ["head.weight", 0.25], ["norm.weight", 0.125]] as const) {
      expectClose(after.get(name) ?? [], twinOf(sgdTwin({ lr }), name, before), TOLERANCE);
    }
  });

  test("OT-02 that match nothing, are no groups, or have too many rates, are refused by name", () => {
    const parameters = [{ name: "0.weight", shape: [2, 2] }, { name: "0.bias", shape: [2] }];
    const misspelt = sgd({ learningRate: 1, groups: [{ parameters: ["0.*", "1.*"], frozen: true }] });
    expect(() => misspelt.rulesFor(parameters)).toThrow(
      'sgd: no parameter is called "1.*", as groups says; there is "0.weight", "0.bias"',
    );
    expect(() => adamw({ groups: {} as [] })).toThrow("adamw: groups is a list like");
    expect(() => adamw({ groups: [{ parameters: [] }] })).toThrow(
      "A group of adamw says which parameters it has",
    );
    expect(() => adamw({ groups: [{ parameters: "a", weightDecay: -1 }] })).toThrow(
      "weightDecay is a number from 0",
    );
    expect(() => adamw({ groups: [{ parameters: "a", learningRate: NaN }] })).toThrow(RangeError);
    expect(() => adamw({ groups: [{ parameters: "a", learningRate: 1, frozen: true }] })).toThrow(
      "is frozen and has",
    );
    const groups = Array.from(
      { length: 16 },
      (_, index) => ({ parameters: `${index}`, learningRate: index + 2 }),
    );
    expect(() => sgd({ learningRate: 1, groups })).toThrow(
      "groups have 17 learning rates, and a step takes at most 16",
    );
    expect(sgd({ learningRate: 2, groups }).scalars(0)).toEqual(
      groups.map(({ learningRate }) => learningRate),
    );
  });

  gpuTest("OT-02 are looked at before anything is in the store", async (gpu) => {
    const store = TensorStore.on(gpu);
    const all = [{ parameters: "*", frozen: true }];
    for (const groups of [all, [{ parameters: "body.*", frozen: true }]]) {
      const error = await thrownBy(() => new Trainer(store, runOf(adamw({ groups }))));
      expect(error.message).toContain(groups === all ? "Every parameter is frozen" : '"body.*"');
    }
    expect(store.groups()).toEqual([]);
    await store.close();
  });

  gpuTest("OT-02 leave the first values of parameters as they are without groups", async (gpu) => {
    const plain = await trained(gpu, runOf(adamw()));
    const grouped = await trained(gpu, runOf(GROUPED));
    expect(grouped.before).toEqual(plain.before);
  });
});

describe("frozen parameters", () => {
  gpuTest("OT-02 keep their bits, and the others move as they would without them", async (gpu) => {
    const { before, after } = await trained(gpu, runOf(FROZEN), async ({ store }) => {
      expect(store.has("optimizer.momentum.head.bias")).toBe(true);
      expect(store.has("optimizer.momentum.encoder.bias")).toBe(false);
      expect((await weightsOf({ store } as never, "optimizer.momentum")).size).toBe(3);
    });
    for (const name of Object.keys(SHAPES)) {
      if (name.startsWith("encoder.")) {
        expect(after.get(name)).toEqual(before.get(name) ?? new Float32Array());
        continue;
      }
      const twin = sgdTwin({ lr: 0.05, momentum: 0.9, weightDecay: 0.1 });
      expectClose(after.get(name) ?? [], twinOf(twin, name, before), TOLERANCE);
    }
  });

  gpuTest("OT-02 have no gradient, no memory for one, and are in no range", async (gpu) => {
    await updated(gpu, FROZEN, (ranges, { gradients }, store) => {
      expect(gradients.tensors.map(({ name }) => name)).toEqual([
        "gradients.norm.weight",
        "gradients.head.weight",
        "gradients.head.bias",
      ]);
      expect(gradients.byteLength).toBe(256 + 1024 + 256);
      expect(ranges.length).toBe(1);
      const { buffer, offset, size } = ranges[0]?.parameter ?? {};
      expect([buffer === store.group("model").slabs[0]?.buffer, offset, size]).toEqual([true, 0, 1536]);
    });
  });

  gpuTest("OT-02 are no parameters that the loss does not reach: nobody is warned of them", async (gpu) => {
    await withTrainer(gpu, runOf(FROZEN), async ({ trainer }) => {
      expect((await trainer.train({ epochs: 1, progress: false })).warnings).toEqual([]);
    });
  });
});

describe("a run with groups", () => {
  gpuTest("OT-02 resumes bit for bit, and no other way unless that is allowed", async (gpu) => {
    const storage = new MemoryStorage();
    const content = async (
      steps: number,
      optimizer: Optimizer,
      isResumed: boolean,
      allow: "optimizer"[] = [],
    ) =>
      await withTrainer(gpu, runOf(optimizer), async (made) => {
        made.trainer.autoSave({ savePath: await engineOn(storage), everySteps: 7 });
        if (isResumed) expect((await made.trainer.resume({ allow })).step).toBe(7);
        const controller = new AbortController();
        const onStep = ({ step }: { step: number }): void => {
          if (step === steps) controller.abort(new Error("killed"));
        };
        const train = made.trainer.train({ epochs: 1, progress: false, signal: controller.signal, onStep });
        await train.catch((error: Error) => expect(error.message).toBe("killed"));
        const { trainer: _, ...tensors } = await made.tensors();
        return tensors;
      });
    const undisturbed = await withTrainer(gpu, runOf(FROZEN), async (made) => {
      await made.trainer.train({ epochs: 1, progress: false });
      return await made.tensors();
    });
    await content(8, FROZEN, false);
    expect(await content(20, FROZEN, true)).toEqual(undisturbed);
  });

  gpuTest(
    "OT-02 thaws when that is allowed: moments begin anew, and the frozen bits are where they were",
    async (gpu) => {
      const storage = new MemoryStorage();
      const thawed = sgd({ learningRate: 0.05, momentum: 0.9, weightDecay: 0.1 });
      const frozenMore = sgd({
        learningRate: 0.05,
        momentum: 0.9,
        weightDecay: 0.1,
        groups: [{ parameters: ["encoder.*", "norm.weight"], frozen: true }],
      });
      await withTrainer(gpu, runOf(FROZEN), async ({ trainer }) => {
        trainer.autoSave({ savePath: await engineOn(storage), interval: 1 });
        await trainer.train({ epochs: 1, progress: false });
      });
      const momentum = async (optimizer: Optimizer): Promise<(number | undefined)[]> =>
        await withTrainer(gpu, runOf(optimizer), async (made) => {
          made.trainer.autoSave({ savePath: await engineOn(storage) });
          const refused = await thrownBy(() => made.trainer.resume());
          expect(refused.message).toContain("optimizer.groups");
          const { changed } = await made.trainer.resume({ allow: ["optimizer"] });
          expect(changed.map(({ what }) => what.split(".").slice(0, 2).join("."))).toEqual([
            "optimizer.groups",
          ]);
          const found = await weightsOf(made, "optimizer.momentum");
          return ["encoder.bias", "norm.weight", "head.bias"].map((name) => found.get(name)?.[0]);
        });
      expect(await momentum(thawed)).toEqual([0, 0, 0]);
      const [encoder, norm, head] = await momentum(frozenMore);
      expect([encoder, norm]).toEqual([undefined, undefined]);
      expect(Math.abs(head ?? 0)).toBeGreaterThan(0.01);
    },
  );
});
