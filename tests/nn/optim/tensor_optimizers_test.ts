import { describe, expect, test } from "bun:test";
import type { BatchSource } from "../../../src/data/batch_source.ts";
import * as ops from "../../../src/graph/ops.ts";
import {
  adamw,
  fromOps,
  fromWgsl,
  lamb,
  muon,
  type OpsUpdate,
  type OpsUpdated,
  type Optimizer,
  type ParameterGroup,
} from "../../../src/nn/optim/optim.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { expectClose, type Tolerance } from "../../kernels/numbers.ts";
import { adamTwin, lambTwin, muonTwin } from "../../kernels/twins/optimizer_twins.ts";
import { BATCH, blobs, smallRun, withTrainer } from "../../train/fixtures.ts";
import {
  runOf,
  SHAPES,
  type Shapes,
  tensorTwinOf,
  trained,
  twinOf,
  type Weights,
} from "./given_gradients.ts";

const TOLERANCE = { absolute: 2e-6, relative: 2e-6 };

/** Wide and tall matrices, more axes than two, and a vector. Few sizes, as each is a matmul to compile. */
const MATRICES: Shapes = {
  "wide.weight": [5, 13],
  "tall.weight": [13, 5],
  "conv.weight": [5, 13, 1],
  "table.weight": [9, 4],
  "wide.bias": [5],
};

function expectWeights(
  after: Weights,
  expected: Readonly<Record<string, Float64Array>>,
  tolerance: Tolerance = TOLERANCE,
): void {
  for (const [name, values] of Object.entries(expected)) {
    expectClose(after.get(name) ?? [], values, tolerance);
  }
}

describe("lamb", () => {
  gpuTest(
    "OT-01 lamb goes 20 steps as in float64, each tensor by its own norm, twice with equal bits",
    async (gpu) => {
      const optimizer = lamb({ learningRate: 0.01, weightDecay: 0.1, decayBiasesAndNorms: false });
      const { before, after } = await trained(gpu, runOf(optimizer));
      const twins = Object.entries(SHAPES).map(([name, { length }]) => {
        const twin = lambTwin({ lr: 0.01, weightDecay: length < 2 ? 0 : 0.1 });
        return [name, tensorTwinOf(twin, name, before)] as const;
      });
      expectWeights(after, Object.fromEntries(twins));
      expect((await trained(gpu, runOf(optimizer))).after).toEqual(after);
    },
  );

  gpuTest("OT-01 lamb moves a parameter that is zero by Adam's step", async (gpu) => {
    const run = runOf(lamb({ learningRate: 0.01 }));
    await withTrainer(gpu, run, async ({ trainer, store }) => {
      await trainer.evaluate(run.data);
      for (const { buffer, byteLength } of store.group("model").slabs) {
        store.gpu.write(buffer, 0, new Uint8Array(byteLength));
      }
      const controller = new AbortController();
      const train = trainer.train({
        epochs: 1,
        progress: false,
        signal: controller.signal,
        onStep: () => controller.abort(new Error("enough")),
      });
      expect((await thrownBy(() => train)).message).toBe("enough");
      const bias = (await store.read(["model.head.bias"])).get("model.head.bias")?.toArray() as Float32Array;
      expectClose([Math.abs(bias[0] ?? NaN)], [0.01], { relative: 1e-4 });
    });
  });
});

describe("muon", () => {
  gpuTest("OT-01 muon goes 20 steps as in float64, the rest by adamw, twice with equal bits", async (gpu) => {
    const optimizer = muon({
      learningRate: 0.02,
      weightDecay: 0.1,
      except: ["table.*"],
      adamw: { learningRate: 0.003, weightDecay: 0.2 },
      groups: [{ parameters: "tall.*", learningRate: 0.05 }],
    });
    const { before, after } = await trained(gpu, runOf(optimizer, MATRICES), async ({ store }) => {
      expect(store.has("optimizer.momentum.conv.weight")).toBe(true);
      expect(store.has("optimizer.momentum.table.weight")).toBe(false);
      expect(store.has("optimizer.m.table.weight")).toBe(true);
      expect(store.has("optimizer.m.conv.weight")).toBe(false);
      await Promise.resolve();
    });
    const adam = adamTwin({ lr: 0.003, weightDecay: 0.2, isDecoupled: true });
    const twins = Object.keys(MATRICES).map((name) => {
      const twin = muonTwin({ lr: name.startsWith("tall") ? 0.05 : 0.02, weightDecay: 0.1 });
      const isRest = name.startsWith("table") || name.endsWith("bias");
      return [
        name,
        isRest ? twinOf(adam, name, before, MATRICES) : tensorTwinOf(twin, name, before, MATRICES),
      ] as const;
    });
    // Small singular values grow 483-fold within five steps, and what rounding left in them too.
    expectWeights(after, Object.fromEntries(twins), { absolute: 2e-4 });
    expect((await trained(gpu, runOf(optimizer, MATRICES))).after).toEqual(after);
  });

  gpuTest("OT-01 muon without Nesterov's momentum, by three steps, is that of the twin", async (gpu) => {
    const optimizer = muon({ learningRate: 0.1, momentum: 0.8, nesterov: false, newtonSchulzSteps: 3 });
    const shapes = { "wide.weight": [5, 13], bias: [2] };
    const { before, after } = await trained(gpu, runOf(optimizer, shapes));
    const twin = muonTwin({ lr: 0.1, momentum: 0.8, nesterov: false, steps: 3 });
    expectWeights(after, { "wide.weight": tensorTwinOf(twin, "wide.weight", before, shapes) }, {
      absolute: 2e-5,
    });
  });

  gpuTest("OT-02 muon freezes a group whatever its parameters are", async (gpu) => {
    const optimizer = muon({ groups: [{ parameters: "wide.*", frozen: true }] });
    const { before, after } = await trained(gpu, runOf(optimizer, MATRICES));
    for (const name of ["wide.weight", "wide.bias"]) {
      expect(after.get(name)).toEqual(before.get(name) ?? new Float32Array());
    }
    expect(after.get("tall.weight")).not.toEqual(before.get("tall.weight") ?? new Float32Array());
  });

  test("OT-01 muon refuses by name what it does not have", () => {
    expect(() => muon({ newtonSchulzSteps: 0 })).toThrow("newtonSchulzSteps is an integer from 1, found 0");
    expect(() => muon({ adamw: { momentum: 1 } as never })).toThrow(
      'adamw of muon() has no option "momentum"',
    );
    expect(() => muon({ except: ["tabel"] }).rulesFor([{ name: "table", shape: [1, 1] }])).toThrow(
      'muon: no parameter is called "tabel", as except says',
    );
    const groups = Array.from(
      { length: 16 },
      (_, index) => ({ parameters: `${index}`, learningRate: index + 2 }),
    );
    expect(() => muon({ adamw: { groups } })).toThrow("a step takes at most 15");
  });
});

/** AdamW in ops, as a user would write it. */
function adamwOfOps(
  { parameter, gradient, learningRate, weightDecay, slots, corrections: [c1, c2] }: OpsUpdate<"m" | "v">,
): OpsUpdated<"m" | "v"> {
  const m = ops.add(ops.mul(slots.m, 0.9), ops.mul(gradient, 0.1));
  const v = ops.add(ops.mul(slots.v, 0.999), ops.mul(ops.square(gradient), 0.001));
  const direction = ops.div(ops.div(m, c1), ops.add(ops.sqrt(ops.div(v, c2)), 1e-8));
  const decayed = ops.mul(parameter, ops.sub(1, ops.mul(learningRate, weightDecay)));
  return { parameter: ops.sub(decayed, ops.mul(direction, learningRate)), slots: { m, v } };
}

const OPTIONS = { name: "own adamw", decays: [0.9, 0.999], learningRate: 0.01, weightDecay: 0.1 };
const SLOTS = ["m", "v"] as const;
const GROUPS: readonly ParameterGroup[] = [{ parameters: "head.*", learningRate: 0.02, weightDecay: 0.3 }];

/** Both ways to write it. */
const OWN: Readonly<Record<string, (groups: readonly ParameterGroup[]) => Optimizer>> = {
  "from ops": (groups) => fromOps({ ...OPTIONS, slots: SLOTS, groups, update: adamwOfOps }),
  "from WGSL": (groups) =>
    fromWgsl({
      ...OPTIONS,
      slots: SLOTS,
      groups,
      constants: { beta1: 0.9, one_minus_beta2: 0.001 },
      wgsl: `
        let mean = m[index] * beta1 + gradient * (1.0 - beta1);
        let square = v[index] * (1.0 - one_minus_beta2) + gradient * gradient * one_minus_beta2;
        m[index] = mean;
        v[index] = square;
        let direction = mean / verdict.corrections.x / (sqrt(square / verdict.corrections.y) + 1e-8);
        parameter[index] = parameter[index] * (1.0 - learning_rate * weight_decay) - learning_rate * direction;
      `,
    }),
};

/** Blobs of which the second batch is NaN. */
function brokenData(): BatchSource {
  const loader = blobs(59, { batchSize: BATCH, dropLast: true });
  const { batchSize, exampleCount, inputs, labels } = loader;
  return {
    batchSize,
    exampleCount,
    inputs,
    labels,
    dropLast: true,
    batchAt: (request) => {
      const batch = loader.batchAt(request);
      return request.position === 1
        ? { ...batch, inputs: (batch.inputs as Float32Array).map(() => NaN) }
        : batch;
    },
  };
}

describe("an optimizer of one's own", () => {
  for (const [kind, made] of Object.entries(OWN)) {
    gpuTest(`OT-05 ${kind} trains as the built-in one, with groups and clipping`, async (gpu) => {
      const clipGradients = { norm: 5, value: 0.6 };
      const { before, after } = await trained(gpu, runOf(made(GROUPS), SHAPES, { clipGradients }));
      const builtIn = adamw({ learningRate: 0.01, weightDecay: 0.1, groups: GROUPS });
      const same = await trained(gpu, runOf(builtIn, SHAPES, { clipGradients }));
      expect(before).toEqual(same.before);
      for (const [name, values] of same.after) expectClose(after.get(name) ?? [], values, TOLERANCE);
      expect(after).not.toEqual(before);
    });

    gpuTest(`OT-05 ${kind} changes nothing at a step that is not finite`, async (gpu) => {
      const options = smallRun({ optimizer: made([]), data: brokenData() });
      await withTrainer(gpu, options, async ({ trainer, tensors }) => {
        const stop = async (): Promise<Record<string, string>> => {
          const error = await thrownBy(() => trainer.train({ epochs: 1, progress: false }));
          expect([error.code, trainer.step]).toEqual(["non_finite", 1]);
          const all = Object.entries(await tensors());
          return Object.fromEntries(all.filter(([name]) => !name.startsWith("trainer.")));
        };
        const first = await stop();
        expect(Object.keys(first).length).toBe(12);
        expect(await stop()).toEqual(first);
        const { skipped } = await trainer.train({ epochs: 1, progress: false, onNonFinite: "skip" });
        expect(skipped.length).toBe(1);
        const further = await tensors();
        expect(further["model.0.weight"]).not.toBe(first["model.0.weight"] ?? "none");
      });
    });
  }

  gpuTest("OT-05 from ops may use any op, over the whole tensor: gradients centred by row", async (gpu) => {
    const centred = fromOps({
      name: "centred",
      learningRate: 0.1,
      update: ({ parameter, gradient, learningRate, updates }, { shape }) => {
        const isMatrix = shape.length > 1;
        const wanted = isMatrix
          ? ops.sub(gradient, ops.mean(gradient, { axes: -1, keepDims: true }))
          : gradient;
        return { parameter: ops.sub(parameter, ops.mul(wanted, ops.div(learningRate, updates))) };
      },
    });
    const { before, after } = await trained(gpu, runOf(centred));
    const rows = (row: Float64Array): Float64Array => {
      const mean = row.reduce((sum, each) => sum + each, 0) / row.length;
      return row.map((each) => each - mean);
    };
    const twin = (
      [p]: readonly [Float64Array, ...Float64Array[]],
      g: Float64Array,
      t: number,
      count: number,
    ) => {
      const width = g.length / count;
      const wanted = Float64Array.from(
        Array.from({ length: count }, (_, row) => [...rows(g.slice(row * width, (row + 1) * width))]).flat(),
      );
      return [p.map((each, i) => each - 0.1 / t * (wanted[i] ?? NaN))] as const;
    };
    expectWeights(after, { "head.weight": tensorTwinOf(twin, "head.weight", before) });
  });

  gpuTest("OT-05 a slot that the update leaves out stays as it is", async (gpu) => {
    const once = fromOps({
      name: "once",
      learningRate: 1,
      slots: ["seen", "never"],
      update: ({ parameter, slots: { seen } }) => ({ parameter, slots: { seen: ops.add(seen, 1) } }),
    });
    const { before, after } = await trained(gpu, runOf(once), async ({ store }) => {
      const read = await store.read(["optimizer.seen.head.bias", "optimizer.never.head.bias"]);
      expect([...read.values()].map((tensor) => [...tensor.toArray() as Float32Array])).toEqual([[20], [0]]);
    });
    expect(after).toEqual(before);
  });

  gpuTest("OT-05 says whose update does not fit, and whose shader does not compile", async (gpu) => {
    const messageOf = async (optimizer: Optimizer): Promise<string> =>
      await withTrainer(
        gpu,
        runOf(optimizer),
        async ({ trainer }) => (await thrownBy(() => trainer.train({ epochs: 1, progress: false }))).message,
      );
    const made = (update: (tensors: OpsUpdate<"m">) => unknown) =>
      fromOps<"m">({ name: "mine", learningRate: 1, slots: ["m"], update: update as never });
    expect(await messageOf(made(({ parameter }) => ({ parameter: ops.sum(parameter) })))).toContain(
      'mine: the update of "encoder.weight" gives parameter as f32 [], expected f32 [5, 3]',
    );
    expect(await messageOf(made(() => ({})))).toContain(
      'mine: the update of "encoder.weight", its parameter,',
    );
    expect(await messageOf(made(({ parameter }) => ({ parameter, slots: { v: parameter } })))).toContain(
      'mine: the update of "encoder.weight" gives the slot "v", which it has not',
    );
    expect(await messageOf(fromWgsl({ name: "mine", learningRate: 1, wgsl: "parameter[index] = nothing;" })))
      .toContain(
        "mine",
      );
  });

  test("OT-05 invalid names and numbers are refused", () => {
    expect(() => fromWgsl({ name: "mine", learningRate: 1, slots: ["a b"], wgsl: "" })).toThrow(
      'found "a b"',
    );
    expect(() => fromOps({ name: "mine", learningRate: 1, slots: ["m", "m"], update: (t) => t })).toThrow(
      'found "m"',
    );
    expect(() => fromWgsl({ name: "mine", wgsl: "" })).toThrow("mine: needs a learningRate");
    expect(() => fromWgsl({ name: "mine", learningRate: 1, decays: [1], wgsl: "" })).toThrow(
      "mine: decays[0]",
    );
  });
});
