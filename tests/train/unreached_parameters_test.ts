import { describe, expect } from "bun:test";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { add, mul } from "../../src/graph/ops/arithmetic.ts";
import { greater, where } from "../../src/graph/ops/comparison.ts";
import { stopGradient } from "../../src/graph/ops/views.ts";
import { crossEntropy, type Layer, linear, normal, sequential } from "../../src/nn/nn.ts";
import { adamw, sgd } from "../../src/nn/optim/optim.ts";
import type { Optimizer } from "../../src/nn/optim/optimizer.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { CLASSES, FEATURES, HIDDEN, smallRun, withTrainer } from "./fixtures.ts";

const DECAYING: Readonly<Record<string, Optimizer>> = {
  adamw: adamw({ learningRate: 0.05, weightDecay: 0.1 }),
  sgd: sgd({ learningRate: 0.05, weightDecay: 0.1 }),
  "sgd with momentum": sgd({ learningRate: 0.05, momentum: 0.9, weightDecay: 0.1 }),
};

/** Which tensors a training of two epochs changes, and what it warns of. */
async function changedBy(gpu: GpuDevice, model: Layer, optimizer: Optimizer) {
  return await withTrainer(gpu, smallRun({ model, optimizer }), async ({ trainer, tensors }) => {
    // An evaluation gives the parameters their first values.
    await trainer.evaluate(smallRun().data);
    const before = await tensors();
    const { warnings } = await trainer.train({ epochs: 1, progress: false });
    const again = await trainer.train({ epochs: 2, progress: false });
    const after = await tensors();
    const changed = Object.keys(after).filter((name) =>
      after[name] !== before[name] && !name.startsWith("trainer.")
    );
    return { changed: changed.sort(), warnings, again: again.warnings };
  });
}

/** The layer's own parameters are made and not used. */
const unused: Layer = (x, scope) => {
  scope.parameter("unused", [5], normal(1));
  return x;
};
const frozen: Layer = (x) => stopGradient(x);

function slotsOf(optimizer: Optimizer, names: readonly string[]): string[] {
  const [rule] = optimizer.rulesFor([{ name: "weight", shape: [1] }]);
  const groups = ["model", ...(rule?.slots ?? []).map((slot) => `optimizer.${slot}`)];
  return groups.flatMap((group) => names.map((name) => `${group}.${name}`)).sort();
}

describe("a parameter that no gradient reaches", () => {
  for (const [name, optimizer] of Object.entries(DECAYING)) {
    gpuTest(`keeps its bits and those of its moments under stopGradient: ${name}`, async (gpu) => {
      const model = sequential(linear(FEATURES, HIDDEN), frozen, linear(HIDDEN, CLASSES));
      const { changed, warnings, again } = await changedBy(gpu, model, optimizer);
      expect(changed).toEqual(slotsOf(optimizer, ["2.bias", "2.weight"]));
      expect(warnings).toEqual([
        'The loss does not reach the parameters "0.weight", "0.bias": they stay as they are, weight decay included',
      ]);
      expect(again).toEqual([]);
    });

    gpuTest(`keeps them between neighbours that are trained, where nothing uses it: ${name}`, async (gpu) => {
      const model = sequential(linear(FEATURES, HIDDEN), unused, linear(HIDDEN, CLASSES));
      const { changed, warnings } = await changedBy(gpu, model, optimizer);
      expect(changed).toEqual(slotsOf(optimizer, ["0.bias", "0.weight", "2.bias", "2.weight"]));
      expect(warnings).toEqual([
        'The loss does not reach the parameter "1.unused": it stays as it is, weight decay included',
      ]);
    });
  }

  gpuTest("may be read all the same: by a comparison, which has no gradient", async (gpu) => {
    const thresholds: Layer = (x, scope) => {
      const threshold = scope.parameter("threshold", [HIDDEN], normal(1));
      return where(greater(x, threshold), x, 0);
    };
    const model = sequential(linear(FEATURES, HIDDEN), thresholds, linear(HIDDEN, CLASSES));
    const { changed } = await changedBy(gpu, model, DECAYING.adamw as Optimizer);
    expect(changed).not.toContain("model.1.threshold");
    expect(changed).toContain("model.0.weight");
  });

  gpuTest("is refused with all others, when the loss reaches none", async (gpu) => {
    const loss = (output: Parameters<ReturnType<typeof crossEntropy>>[0], labels: typeof output) =>
      crossEntropy()(stopGradient(output), labels);
    await withTrainer(gpu, smallRun({ loss }), async ({ trainer, tensors }) => {
      const error = await thrownBy(() => trainer.train({ epochs: 1, progress: false }));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toContain(
        'The loss reaches no parameter of the model, so that nothing would be trained ("0.weight"',
      );
      expect(trainer.step).toBe(0);
      expect(Object.keys(await tensors())).toContain("model.0.weight");
    });
  });
});

describe("a parameter that a gradient reaches", () => {
  gpuTest("decays even where the gradient is zero, as in PyTorch", async (gpu) => {
    const zeroed: Layer = (x, scope) => add(x, mul(scope.parameter("zeroed", [HIDDEN], normal(1)), 0));
    const model = sequential(linear(FEATURES, HIDDEN), zeroed, linear(HIDDEN, CLASSES));
    const { changed, warnings } = await changedBy(gpu, model, DECAYING.adamw as Optimizer);
    expect(changed).toContain("model.1.zeroed");
    expect(warnings).toEqual([]);
  });

  gpuTest(
    "by one of two ways, is trained by that one: it is used twice, once under stopGradient",
    async (gpu) => {
      const twice: Layer = (x, scope) => {
        const shared = scope.parameter("shared", [HIDDEN], normal(1));
        return add(mul(x, shared), stopGradient(mul(x, shared)));
      };
      const model = sequential(linear(FEATURES, HIDDEN), twice, linear(HIDDEN, CLASSES));
      const { changed, warnings } = await changedBy(gpu, model, DECAYING.adamw as Optimizer);
      expect(changed).toContain("model.1.shared");
      expect(warnings).toEqual([]);
    },
  );

  gpuTest("has the same bits whether its neighbours are trained or not", async (gpu) => {
    const weights = async (slabBytes: number) => {
      const store = TensorStore.on(gpu, { slabBytes });
      const model = sequential(linear(FEATURES, HIDDEN), unused, linear(HIDDEN, CLASSES));
      const trainer = new Trainer(store, smallRun({ model }));
      await trainer.train({ epochs: 1, progress: false });
      const read = await store.read(store.group("model").tensors.map(({ name }) => name));
      await trainer.close();
      await store.close();
      return [...read].map(([name, { bytes }]) => [name, [...bytes]]);
    };
    expect(await weights(256)).toEqual(await weights(1 << 20));
  });
});
