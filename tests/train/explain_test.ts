import { describe, expect, test } from "bun:test";
import { printable, shortNumber, textTable } from "../../src/base/printable.ts";
import { reshape } from "../../src/graph/ops/views.ts";
import type { Value } from "../../src/graph/value.ts";
import type { LayerSummary } from "../../src/train/step/summarize_model.ts";
import type { StepExplanation } from "../../src/train/step/explain_step.ts";
import {
  batchNorm,
  dropout,
  leakyRelu,
  linear,
  relu,
  remat,
  type Scope,
  sequential,
  transformerBlock,
} from "../../src/nn/nn.ts";
import { adamw } from "../../src/nn/optim/optim.ts";
import { shown } from "../helpers/shown.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { BATCH, blobs, CLASSES, FEATURES, HIDDEN, smallRun, withTrainer } from "./fixtures.ts";

const QUIET = { progress: false } as const;

function layerAt(layers: readonly LayerSummary[], path: string): LayerSummary {
  const found = layers.find((layer) => layer.path === path);
  if (found === undefined) throw new Error(`There is no layer at "${path}"`);
  return found;
}

describe("trainer.summary()", () => {
  gpuTest(
    "TR-05 summary() has each layer with path, output, parameters, bytes and operations",
    async (gpu) => {
      await withTrainer(gpu, smallRun(), ({ trainer }) => {
        const { layers, ...totals } = trainer.summary();
        expect(layers.map(({ path, layer }) => [path, layer])).toEqual([
          ["", "sequential()"],
          ["0", `linear(${FEATURES}, ${HIDDEN})`],
          ["1", "relu()"],
          ["2", "dropout(0.25)"],
          ["3", `linear(${HIDDEN}, ${CLASSES})`],
        ]);
        const parameters = FEATURES * HIDDEN + HIDDEN;
        expect(layerAt(layers, "0")).toMatchObject({
          outputShape: [BATCH, HIDDEN],
          outputDType: "f32",
          calls: 1,
          parameters,
          bytes: 4 * parameters,
        });
        // Forward, and the gradient of the weights; that of the input is not needed.
        const products = 2 * 2 * BATCH * FEATURES * HIDDEN;
        expect(layerAt(layers, "0").flops).toBeGreaterThanOrEqual(products);
        expect(layerAt(layers, "0").flops).toBeLessThan(1.5 * products);
        expect(layerAt(layers, "1")).toMatchObject({ parameters: 0, bytes: 0, outputShape: [BATCH, HIDDEN] });
        const all = parameters + HIDDEN * CLASSES + CLASSES;
        expect(totals).toMatchObject({
          batchSize: BATCH,
          parameters: all,
          trainedParameters: all,
          bytes: 4 * all,
        });
        expect(totals.flops).toBeGreaterThan(layers.reduce((sum, { flops }) => sum + flops, 0));
        return Promise.resolve();
      });
    },
  );

  gpuTest("TR-05 summary() counts a shared layer once, and says what is frozen", async (gpu) => {
    const square = linear(FEATURES, FEATURES);
    const model = sequential((x, scope) => square(square(x, scope), scope), linear(FEATURES, CLASSES));
    const optimizer = adamw({ learningRate: 0.02, groups: [{ parameters: "1.bias", frozen: true }] });
    await withTrainer(gpu, smallRun({ model, optimizer }), ({ trainer }) => {
      const summary = trainer.summary();
      expect(layerAt(summary.layers, "0")).toMatchObject({
        calls: 2,
        parameters: FEATURES * FEATURES + FEATURES,
      });
      expect(summary.parameters - summary.trainedParameters).toBe(CLASSES);
      expect(String(summary)).toContain("linear(6, 6), 2 times");
      expect(String(summary)).toContain("3 of them frozen");
      return Promise.resolve();
    });
  });

  gpuTest("TR-05 summary() counts a layer once that is computed again on the way back", async (gpu) => {
    const model = sequential(remat(linear(FEATURES, HIDDEN)), batchNorm(HIDDEN), linear(HIDDEN, CLASSES));
    await withTrainer(gpu, smallRun({ model }), ({ trainer }) => {
      const { layers, parameters } = trainer.summary();
      expect(layers.map(({ path, layer, calls }) => [path, layer, calls])).toEqual([
        ["", "sequential()", 1],
        ["0", `remat(linear(${FEATURES}, ${HIDDEN}))`, 1],
        ["1", `batchNorm(${HIDDEN})`, 1],
        ["2", `linear(${HIDDEN}, ${CLASSES})`, 1],
      ]);
      expect(layers.reduce((sum, layer) => sum + layer.parameters, 0)).toBe(parameters);
      return Promise.resolve();
    });
  });

  gpuTest("TR-05 console.log shows summary() as a table, and JSON its data", async (gpu) => {
    await withTrainer(gpu, smallRun(), ({ trainer }) => {
      const summary = trainer.summary();
      const lines = shown(summary).split("\n");
      expect(lines[0]).toMatch(/^path +layer +output +parameters +bytes +FLOPs of a step$/);
      expect(lines[1]).toMatch(/^\(model\) +sequential\(\) +\[8, 3\] +0 +0 +0$/);
      expect(lines[2]).toMatch(/^0 +linear\(6, 9\) +\[8, 9\] +63 +252 +[\d.]+ k$/);
      expect(lines.at(-1)).toMatch(/^93 parameters \(372 B\); [\d.]+ kFLOP for a step of 8 examples$/);
      expect(String(summary)).toBe(shown(summary));
      const data = JSON.parse(JSON.stringify(summary));
      expect(Object.keys(data)).toEqual([
        "batchSize",
        "layers",
        "parameters",
        "trainedParameters",
        "bytes",
        "buffers",
        "bufferBytes",
        "flops",
      ]);
      expect(data).toEqual(summary);
      return Promise.resolve();
    });
  });

  gpuTest("TR-05 summary() goes into blocks, where each part has a path of its own", async (gpu) => {
    const block = (x: Value, scope: Scope): Value => {
      // As tokens of a sequence, and back.
      const tokens = reshape(x, [x.shape[0] ?? 0, FEATURES / 2, 2]);
      return reshape(transformerBlock(2, 1, { dropout: 0.1 })(tokens, scope), x.shape);
    };
    const model = sequential(block, linear(FEATURES, CLASSES));
    await withTrainer(gpu, smallRun({ model }), ({ trainer }) => {
      const { layers, parameters } = trainer.summary();
      expect(layers.map(({ path, layer }) => `${path} ${layer}`)).toEqual([
        " sequential()",
        "0 transformerBlock(2, 1)",
        "0.norm1 layerNorm(2)",
        "0.attention multiHeadAttention(2, 1)",
        "0.attention.query linear(2, 2)",
        "0.attention.key linear(2, 2)",
        "0.attention.value linear(2, 2)",
        "0.attention.output linear(2, 2)",
        "0.norm2 layerNorm(2)",
        "0.linear1 linear(2, 8)",
        "0.activation gelu()",
        "0.linear2 linear(8, 2)",
        "1 linear(6, 3)",
      ]);
      expect(layers.reduce((sum, layer) => sum + layer.parameters, 0)).toBe(parameters);
      expect(layerAt(layers, "0.attention").flops).toBeGreaterThan(0);
      return Promise.resolve();
    });
  });
});

/** Everything of an explanation that two explanations of one step have in common. */
function withoutTimes({ programs, ...rest }: StepExplanation): object {
  return {
    ...rest,
    programs: programs.map(({ kernels, ...program }) => {
      return { ...program, kernels: kernels.map(({ ms: _, ...kernel }) => kernel) };
    }),
  };
}

describe("trainer.explain()", () => {
  gpuTest("TR-05 explain() has every kernel of a step with layer, bytes and operations", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const explanation = await trainer.explain({ times: false });
      expect(explanation.adapter).toBe(gpu.adapterName);
      const [program] = explanation.programs;
      if (program === undefined) throw new Error("There is no program");
      expect(explanation.programs).toHaveLength(1);
      const { kernels } = program;
      expect(program.label).toBe(`train step of ${BATCH} examples`);
      expect(kernels.reduce((sum, { dispatches }) => sum + dispatches, 0)).toBe(program.dispatches);
      expect(program.pipelines).toBeLessThanOrEqual(program.dispatches);
      expect(program.fusedOps).toBeGreaterThan(0);
      // Forward, then backward, then the update.
      const phases = kernels.map(({ phase }) => phase);
      expect([...new Set(phases)]).toEqual(["forward", "backward", "update"]);
      const products = kernels.filter(({ result }) => result.includes("matmul"));
      expect(products.map(({ layer, phase, flops }) => [layer, phase, flops])).toEqual([
        ["0", "forward", 2 * BATCH * FEATURES * HIDDEN],
        ["3", "forward", 2 * BATCH * HIDDEN * CLASSES],
        ["3", "backward", 2 * BATCH * HIDDEN * CLASSES],
        ["3", "backward", 2 * BATCH * HIDDEN * CLASSES],
        ["0", "backward", 2 * BATCH * FEATURES * HIDDEN],
      ].sort(byPhase(products.map(({ layer, phase, flops }) => [layer, phase, flops]))));
      expect(kernels.every(({ bytes, ms }) => bytes > 0 && ms === undefined)).toBe(true);
      const { memory } = explanation;
      expect(memory.store).toBe(trainer.store.stats().bytes);
      expect(memory.workspace).toBe(program.workspaceBytes);
      expect(memory.leastWorkspace).toBe(program.leastBytes);
      expect(program.leastBytes).toBeLessThanOrEqual(program.workspaceBytes);
      expect(program.leastBytes).toBeGreaterThan(4 * BATCH * (FEATURES + HIDDEN));
      expect(explanation.variants.matmul).toBe(trainer.store.variants.get("matmul") ?? "");
    });
  });

  gpuTest("TR-05 explain() knows a gradient from an activation where a kernel computes both", async (gpu) => {
    // The gradient of leakyRelu takes what it was given, and compares it anew.
    const model = sequential(linear(FEATURES, HIDDEN), relu(), linear(HIDDEN, HIDDEN), leakyRelu());
    const run = smallRun({ model: sequential(model, linear(HIDDEN, CLASSES)) });
    await withTrainer(gpu, run, async ({ trainer }) => {
      const { programs, memory } = await trainer.explain({ times: false });
      const phases = programs.flatMap(({ kernels }) => kernels.map(({ phase }) => phase));
      const order = ["forward", "backward", "update"];
      expect(phases).toEqual([...phases].sort((a, b) => order.indexOf(a) - order.indexOf(b)));
      // After relu, before and after leakyRelu, and the scores.
      expect(memory.activations).toBe(4 * BATCH * (3 * HIDDEN + CLASSES));
    });
  });

  gpuTest("TR-05 explain() shows that no step keeps what dropout drew", async (gpu) => {
    const model = sequential(linear(FEATURES, HIDDEN), relu(), linear(HIDDEN, HIDDEN), dropout(0.25));
    const run = smallRun({ model: sequential(model, linear(HIDDEN, CLASSES)) });
    await withTrainer(gpu, run, async ({ trainer }) => {
      const { memory } = await trainer.explain({ times: false });
      // After relu, what dropout left, and the scores.
      expect(memory.activations).toBe(4 * BATCH * (2 * HIDDEN + CLASSES));
    });
  });

  gpuTest(
    "TR-05 explain() measures each kernel where the adapter tells times, and changes no bit",
    async (gpu) => {
      const undisturbed = await withTrainer(gpu, smallRun(), async ({ trainer, tensors }) => {
        await trainer.train({ steps: 9, ...QUIET });
        return await tensors();
      });
      await withTrainer(gpu, smallRun(), async ({ trainer, tensors }) => {
        await trainer.train({ steps: 5, ...QUIET });
        const before = await tensors();
        const timed = await trainer.explain();
        expect(await tensors()).toEqual(before);
        expect(trainer.step).toBe(5);
        const kernels = timed.programs.flatMap((program) => program.kernels);
        const isTold = gpu.features.has("timestamp-query");
        expect(kernels.every(({ ms }) => (ms !== undefined) === isTold)).toBe(true);
        if (isTold) expect(kernels.every(({ ms }) => Number.isFinite(ms) && (ms ?? -1) >= 0)).toBe(true);
        expect(withoutTimes(timed)).toEqual(withoutTimes(await trainer.explain({ times: false })));
        await trainer.train({ steps: 9, ...QUIET });
        expect(await tensors()).toEqual(undisturbed);
      });
    },
  );

  gpuTest("TR-05 console.log shows explain() as tables", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const explanation = await trainer.explain();
      const text = shown(explanation);
      expect(text).toBe(String(explanation));
      expect(text).toMatch(
        /^train step of 8 examples: \d+ dispatches, \d+ pipelines, \d+ ops fused into others/,
      );
      expect(text).toMatch(/^layer +phase +kernel +dispatches +bytes +FLOPs/m);
      expect(text).toMatch(/^memory: .+: store .+, gradients .+, workspace .+ \(at least .+\)$/m);
      expect(text).toMatch(/^variants: .*matmul /m);
      expect(JSON.parse(JSON.stringify(explanation)).programs).toHaveLength(1);
    });
  });

  gpuTest("TR-05 explain() has a program for each size of a batch and of a piece", async (gpu) => {
    const data = blobs(11, { batchSize: BATCH });
    await withTrainer(gpu, smallRun({ data, microBatchSize: 4 }), async ({ trainer, tensors }) => {
      await trainer.evaluate(data);
      const before = await tensors();
      const { programs } = await trainer.explain();
      expect(programs.map(({ label }) => label)).toEqual([
        "train step of 3 examples",
        "train step of a piece of 4 examples",
      ]);
      expect(await tensors()).toEqual(before);
    });
  });
});

/** Orders expected rows as the rows that were found: the order of a program's kernels is not what is tested. */
function byPhase<Row extends readonly unknown[]>(found: readonly Row[]): (a: Row, b: Row) => number {
  const placeOf = (row: Row): number => found.findIndex((each) => String(each) === String(row));
  return (a, b) => placeOf(a) - placeOf(b);
}

describe("what prints as a table", () => {
  test("has columns as wide as their widest cell, those of numbers flush right", () => {
    expect(textTable([["name", "count"], ["a", 1], ["long name", 12345]])).toBe(
      ["name        count", "a               1", "long name  12,345"].join("\n"),
    );
    expect(textTable([])).toBe("");
  });

  test("is data: its text is no field", () => {
    const made = printable({ a: 1 }, ({ a }) => `a is ${a}`);
    expect(`${made}`).toBe("a is 1");
    expect(shown(made)).toBe("a is 1");
    expect({ ...made }).toEqual({ a: 1 });
    expect(JSON.stringify(made)).toBe('{"a":1}');
  });

  test("writes large numbers short", () => {
    expect([0, 999, 1234, 5_000_000, 7.5e9].map((value) => `${shortNumber(value)}B`)).toEqual([
      "0 B",
      "999 B",
      "1.23 kB",
      "5.00 MB",
      "7.50 GB",
    ]);
  });
});
