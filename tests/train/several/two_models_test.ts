import { describe, expect } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Predictor } from "../../../src/predict/predictor.ts";
import { Snapshot } from "../../../src/checkpoint/snapshot.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import type { Value } from "../../../src/graph/value.ts";
import { add, neg } from "../../../src/graph/ops/arithmetic.ts";
import { softplus } from "../../../src/graph/ops/elementary/exponentials.ts";
import { randomNormal } from "../../../src/graph/ops/random.ts";
import { sum } from "../../../src/graph/ops/sum.ts";
import { reshape } from "../../../src/graph/ops/views.ts";
import {
  batchNorm,
  dropout,
  frozen,
  type Layer,
  linear,
  type Loss,
  mse,
  relu,
  sequential,
  tanh,
} from "../../../src/nn/nn.ts";
import { adam, sgd } from "../../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { DataLoader } from "../../../src/data/data_loader.ts";
import { TrainStep } from "../../../src/train/loop/train_step.ts";
import { Trainer } from "../../../src/train/trainer.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { engineOn, numbers, tensorsOf } from "../fixtures.ts";

const QUIET = { progress: false } as const;
const BATCH = 6;
const NOISE = 3;

const generatorNet = sequential(linear(NOISE, 5), batchNorm(5), tanh(), linear(5, 2));
const criticNet = sequential(linear(2, 7), relu(), dropout(0.25), linear(7, 1));

const random = numbers(8);
const points = Array.from({ length: 5 * BATCH }, () => [random() + 1, random() - 1]);
const data = (): DataLoader<number[][], Uint32Array> =>
  DataLoader.from({ inputs: points, labels: new Uint32Array(points.length) }, {
    batchSize: BATCH,
    shuffle: true,
    seed: 2,
  });

type Verdicts = { real: Value; fake: Value };

const criticModel: Layer<Value, Verdicts> = (real, scope) => {
  const [batch = 0] = real.shape;
  const noise = randomNormal([batch, NOISE], { stream: scope.randomStream() });
  const fake = frozen(generatorNet, { of: "generator" })(noise, scope);
  return { real: criticNet(real, scope), fake: criticNet(fake, scope) };
};

const generatorModel: Layer = (real, scope) => {
  const [batch = 0] = real.shape;
  const noise = randomNormal([batch, NOISE], { stream: scope.randomStream() });
  return frozen(criticNet, { of: "critic" })(generatorNet(noise, scope), scope);
};

const perExample = (value: Value): Value => reshape(value, [-1]);
const criticLoss: Loss<Verdicts> = ({ real, fake }) =>
  add(softplus(neg(perExample(real))), softplus(perExample(fake)));
const generatorLoss: Loss = (verdict) => softplus(neg(perExample(verdict)));

interface Gan {
  readonly store: TensorStore;
  readonly critic: TrainStep<Value, Verdicts>;
  readonly generator: TrainStep;
  readonly loader: ReturnType<typeof data>;
  /** One step of each, so many times. */
  turns(count: number): Promise<void>;
  close(): Promise<void>;
}

async function gan(gpu: GpuDevice, generator: Layer = generatorModel): Promise<Gan> {
  const store = TensorStore.on(gpu);
  const loader = data();
  const { inputs, labels, batchSize } = loader;
  const common = { inputs, labels, batchSize } as const;
  const steps = {
    critic: TrainStep.define(store, {
      ...common,
      name: "critic",
      model: criticModel,
      loss: criticLoss,
      optimizer: adam({ learningRate: 0.01, beta1: 0.5 }),
      seed: 5,
    }),
    generator: TrainStep.define(store, {
      ...common,
      name: "generator",
      model: generator,
      loss: generatorLoss,
      optimizer: sgd({ learningRate: 0.05, momentum: 0.9 }),
      seed: 6,
    }),
  };
  const close = async (): Promise<void> => {
    await steps.critic.close();
    await steps.generator.close();
    await store.close();
  };
  try {
    await steps.critic.compile();
    await steps.generator.compile();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    store,
    ...steps,
    loader,
    async turns(count) {
      for (let turn = 0; turn < count; turn++) {
        const batch = loader.next();
        await steps.critic.run(batch);
        await steps.generator.run(batch);
      }
    },
    close,
  };
}

describe("TR-03 two models in one store", () => {
  gpuTest("TR-03 have groups of their names, and a step changes those of its own only", async (gpu) => {
    const { store, critic, generator, loader, close } = await gan(gpu);
    try {
      const groups = store.groups().map(({ name }) => name).sort();
      expect(groups).toEqual([
        "critic.model",
        "critic.optimizer.m",
        "critic.optimizer.v",
        "critic.trainer",
        "generator.model",
        "generator.optimizer.momentum",
        "generator.trainer",
      ].filter((name) => groups.includes(name)));
      expect(groups.length).toBe(7);
      const changes = async (step: TrainStep<Value, Verdicts> | TrainStep): Promise<string[]> => {
        const before = await tensorsOf(store);
        await step.run(loader.next());
        const after = await tensorsOf(store);
        return Object.keys(after).filter((name) => after[name] !== before[name]);
      };
      const byCritic = await changes(critic);
      expect(byCritic.filter((name) => !name.startsWith("critic."))).toEqual([]);
      expect(byCritic).toContain("critic.model.0.weight");
      const byGenerator = await changes(generator);
      expect(byGenerator.filter((name) => !name.startsWith("generator."))).toEqual([]);
      // Its own running statistics too, which the critic's step left alone.
      expect(byGenerator).toContain("generator.model.1.running_mean");
    } finally {
      await close();
    }
  });

  gpuTest("TR-03 what is read of the other costs no gradient, moment or memory for one", async (gpu) => {
    const { store, critic, generator, loader, close } = await gan(gpu);
    try {
      await generator.run(loader.next());
      expect([...(await generator.readGradients()).keys()].sort()).toEqual(
        generator.model.parameters.map(({ name }) => name).sort(),
      );
      const own = TensorStore.on(gpu);
      const { inputs, labels, batchSize } = loader;
      const alone = await TrainStep.compile(own, {
        model: (real, scope) => {
          const noise = randomNormal([real.shape[0] ?? 0, NOISE], { stream: scope.randomStream() });
          return generatorNet(noise, scope);
        },
        loss: (output) => sum(output, { axes: 1 }),
        optimizer: sgd({ learningRate: 0.05, momentum: 0.9 }),
        inputs,
        labels,
        batchSize,
      });
      const bytes = async (step: TrainStep) => (await step.explain()).memory.gradients;
      expect(await bytes(generator)).toBe(await bytes(alone));
      const sizes = (of: TensorStore, prefix: string) =>
        of.groups().filter(({ name }) => name.startsWith(`${prefix}optimizer.`)).map((each) =>
          each.byteLength
        );
      expect(sizes(store, "generator.")).toEqual(sizes(own, ""));
      expect(critic.model.parameters.length).toBe(4);
      await alone.close();
      await own.close();
    } finally {
      await close();
    }
  });

  gpuTest("TR-03 the other's gradients flow through: the bits of a model that has both", async (gpu) => {
    const both = await gan(gpu);
    const store = TensorStore.on(gpu);
    const { inputs, labels, batchSize } = both.loader;
    const whole = await TrainStep.compile(store, {
      model: (real, scope) => {
        const noise = randomNormal([real.shape[0] ?? 0, NOISE], { stream: scope.randomStream() });
        return frozen(criticNet)(generatorNet(noise, scope.child("generator")), scope.child("critic"));
      },
      loss: generatorLoss,
      optimizer: sgd({ learningRate: 0.05, momentum: 0.9 }),
      inputs,
      labels,
      batchSize,
      seed: 6,
    });
    try {
      const weights = await both.store.read(
        both.store.tensors().map(({ name }) => name).filter((name) => /^\w+\.model\./.test(name)),
      );
      store.write(Object.fromEntries(
        [...weights].map(([name, value]) => [name.replace(/^(\w+)\.model\./, "model.$1."), value]),
      ));
      for (let step = 0; step < 3; step++) {
        const batch = both.loader.next();
        await both.generator.run(batch);
        await whole.run(batch);
      }
      expect([...await whole.readLosses()]).toEqual([...await both.generator.readLosses()]);
      const [found, expected] = [await tensorsOf(both.store), await tensorsOf(store)];
      for (const [name, bits] of Object.entries(expected)) {
        if (name.startsWith("model.generator.")) {
          expect(found[name.replace("model.generator.", "generator.model.")]).toBe(bits);
        }
      }
    } finally {
      await whole.close();
      await store.close();
      await both.close();
    }
  });

  gpuTest("TR-03 are in one checkpoint, and go on from it with the same bits", async (gpu) => {
    const undisturbed = await gan(gpu);
    await undisturbed.turns(9);
    const expected = await tensorsOf(undisturbed.store);
    const losses = [await undisturbed.critic.readLosses(), await undisturbed.generator.readLosses()];
    await undisturbed.close();

    const storage = new MemoryStorage();
    const partsOf = ({ store, critic, generator }: Gan) => ({ store, critic, generator });
    const first = await gan(gpu);
    await first.turns(4);
    const saving = new Snapshot(await engineOn(storage), partsOf(first));
    await (await saving.save("four")).wait();
    await first.turns(2);
    await saving.close();
    await first.close();
    expect((await storage.list("")).map(({ name }) => name).filter((name) => name.endsWith(".cairn")))
      .toEqual([
        "four.cairn",
      ]);

    const second = await gan(gpu);
    const loading = new Snapshot(await engineOn(storage), partsOf(second));
    try {
      await loading.restore("four");
      expect([second.critic.step, second.generator.step]).toEqual([4, 4]);
      second.loader.seek({ epoch: 0, position: 4 });
      await second.turns(5);
      expect(await tensorsOf(second.store)).toEqual(expected);
      expect([await second.critic.readLosses(), await second.generator.readLosses()]).toEqual(losses);
    } finally {
      await loading.close();
      await second.close();
    }
  });

  gpuTest("TR-03 a predictor takes the one of a checkpoint that it is told", async (gpu) => {
    const { store, critic, generator, turns, close } = await gan(gpu);
    const folder = await mkdtemp(join(tmpdir(), "cairn-two-models-"));
    try {
      await turns(2);
      const snapshot = new Snapshot(join(folder, "both"));
      await snapshot.save({ store, critic, generator });
      await snapshot.close();
      const path = join(folder, "both.cairn");
      const points = [[1, -1], [0.5, 0.25]];
      const predictor = await Predictor.open(criticNet, path, { name: "critic", gpu });
      const { tensors } = store.group("critic.model");
      const weights = await store.read(tensors.map(({ name }) => name));
      const at = (name: string, index: number): number =>
        (weights.get(`critic.model.${name}`)?.toArray() as Float32Array)[index] ?? NaN;
      const expected = points.map(([x = NaN, y = NaN]) =>
        Array.from(
          { length: 7 },
          (_, k) =>
            Math.max(0, at("0.weight", 2 * k) * x + at("0.weight", 2 * k + 1) * y + at("0.bias", k)) *
            at("3.weight", k),
        ).reduce((sum, each) => sum + each, at("3.bias", 0))
      );
      const found = (await predictor.predict(points)).toArray() as Float32Array;
      expected.forEach((each, row) => expect(found[row]).toBeCloseTo(each, 5));
      await predictor.close();
      const stranger = await thrownBy(() => Predictor.open(criticNet, path, { name: "nobody", gpu }));
      expect(stranger.message).toContain("There are no weights");
    } finally {
      await rm(folder, { recursive: true });
      await close();
    }
  });

  gpuTest(
    "TR-03 a model that is read and not there, or is another one, is named with both shapes",
    async (gpu) => {
      const other: Layer = (real, scope) =>
        frozen(linear(2, 1), { of: "critic" })(generatorNetOn(real, scope), scope);
      const error = await thrownBy(() => gan(gpu, other));
      expect(error.message).toContain(
        'The model reads "weight" f32 [1, 2] of the model "critic", and the store has no "critic.model.weight"',
      );
      const wider: Layer = (real, scope) =>
        frozen(sequential(linear(2, 9), relu(), linear(9, 1)), { of: "critic" })(
          generatorNetOn(real, scope),
          scope,
        );
      const shapes = await thrownBy(() => gan(gpu, wider));
      expect(shapes.message).toContain(
        '"0.weight" f32 [9, 2] of the model "critic", which has it as f32 [7, 2]',
      );
      expect(() => frozen(linear(2, 1), { of: "model" })).toThrow(
        "the name of a model is of letters, digits and _",
      );
    },
  );
});

/** The generator on noise of its own. */
function generatorNetOn(real: Value, scope: Parameters<Layer>[1]): Value {
  return generatorNet(randomNormal([real.shape[0] ?? 0, NOISE], { stream: scope.randomStream() }), scope);
}

describe("TR-03 the groups of a trainer that was closed", () => {
  const options = (overrides: object = {}) => ({
    model: sequential(linear(2, 4), tanh(), linear(4, 2)),
    loss: mse(),
    optimizer: adam({ learningRate: 0.01 }),
    data: DataLoader.from({ inputs: points, labels: points }, { batchSize: BATCH }),
    ...overrides,
  });

  gpuTest("TR-03 are in the way of another one, which is told what to do", async (gpu) => {
    const store = TensorStore.on(gpu);
    const { data, ...rest } = options();
    const step = { ...rest, inputs: data.inputs, labels: data.labels, batchSize: BATCH };
    const first = new Trainer(store, options());
    try {
      expect(() => new Trainer(store, options({ takeOver: true }))).toThrow(
        "The store is in use by a Trainer, and a Trainer needs its own",
      );
      expect(() => TrainStep.define(store, { ...step, name: "critic" })).toThrow("in use by a Trainer");
      await first.close();
      expect(() => new Trainer(store, options())).toThrow(
        'There is a group "model" in the store already, of a Trainer that was closed or of your own; ' +
          "{ takeOver: true } goes on with its weights, close({ free: true }) of the one before frees them",
      );
      const a = TrainStep.define(store, { ...step, name: "a" });
      expect(() => TrainStep.define(store, { ...step, name: "a" })).toThrow(
        'The store is in use by the TrainStep "a"; give this one another name',
      );
      expect(() => new Trainer(store, options({ takeOver: true }))).toThrow('in use by the TrainStep "a"');
      expect(() => TrainStep.define(store, { ...step, name: "trainer" })).toThrow("the name of a model");
      expect(() => a.stateDict()).toThrow("await its compile() before a snapshot is saved");
      await a.close({ free: true });
      expect(store.groups().some(({ name }) => name.startsWith("a."))).toBe(false);
    } finally {
      await store.close();
    }
  });

  gpuTest("TR-03 are freed with it where that is asked for", async (gpu) => {
    const store = TensorStore.on(gpu);
    try {
      const first = new Trainer(store, options());
      await first.train({ steps: 2, ...QUIET });
      await first.close({ free: true });
      expect(store.stats().bytes).toBe(0);
      expect(store.guards.size).toBe(0);
      const second = new Trainer(store, options());
      await second.train({ steps: 2, ...QUIET });
      expect(second.history.loss.length).toBe(2);
      await second.close();
    } finally {
      await store.close();
    }
  });

  gpuTest("TR-03 are taken over: the weights go on, with another optimiser from step 0", async (gpu) => {
    const store = TensorStore.on(gpu);
    try {
      const first = new Trainer(store, options());
      await first.train({ steps: 5, ...QUIET });
      const weights = (tensors: Record<string, string>) =>
        Object.fromEntries(Object.entries(tensors).filter(([name]) => name.startsWith("model.")));
      const trained = weights(await tensorsOf(store));
      await first.close();
      const other = sequential(linear(2, 3), tanh(), linear(3, 2));
      const before = store.groups().map(({ name }) => name);
      expect(() => new Trainer(store, options({ model: other, takeOver: true }))).toThrow(
        'Cannot take over the group "model": "0.weight" is f32 [4, 2] and the model asks for f32 [3, 2]',
      );
      expect(store.groups().map(({ name }) => name)).toEqual(before);

      const second = new Trainer(store, options({ takeOver: true, optimizer: sgd({ learningRate: 0 }) }));
      expect(store.groups().map(({ name }) => name).sort()).toEqual(["model", "trainer"]);
      await second.train({ steps: 1, ...QUIET });
      expect(second.step).toBe(1);
      expect(weights(await tensorsOf(store))).toEqual(trained);
      expect(second.history.loss[0]).toBeCloseTo(await lossNow(second), 5);
      await second.close();
    } finally {
      await store.close();
    }
  });
});

/** Of the first batch, by an evaluation. */
async function lossNow(trainer: Trainer): Promise<number> {
  const first = points.slice(0, BATCH);
  return (await trainer.evaluate(DataLoader.from({ inputs: first, labels: first }, { batchSize: BATCH })))
    .loss;
}
