import { describe, expect, test } from "bun:test";
import { matmul } from "../../../../src/graph/ops/matmul.ts";
import {
  batchNorm,
  conv2d,
  dropout,
  frozen,
  type Layer,
  linear,
  lora,
  parallel,
  relu,
  remat,
  residual,
  Scope,
  sequential,
  tanh,
  xavierUniform,
} from "../../../../src/nn/nn.ts";
import { input } from "../../../../src/graph/ops/sources.ts";
import { sgd } from "../../../../src/nn/optim/optim.ts";
import { ParameterRules } from "../../../../src/train/step/parameter_rules.ts";
import { CLASSES, FEATURES, smallRun, withTrainer } from "../../../train/fixtures.ts";
import { HostTensor } from "../../../../src/tensor/host_tensor.ts";
import { gpuTest } from "../../../helpers/gpu.ts";
import { forward } from "../../forward.ts";
import { type Parameters, shapesOf } from "../check_layer.ts";
import { checkLayerTraining } from "../check_layer_training.ts";

const [BATCH, WIDTH] = [3, 4];

/** `[batch, outputs]` of a linear layer. */
function projected(x: readonly number[], parameters: Parameters, name: string): number[] {
  const [weight = [], bias = []] = [parameters[`${name}weight`], parameters[`${name}bias`]];
  const inputs = x.length / BATCH;
  return Array.from({ length: BATCH * bias.length }, (_, at) => {
    const [row, output] = [Math.floor(at / bias.length), at % bias.length];
    let total = bias[output] ?? NaN;
    for (let i = 0; i < inputs; i++) {
      total += (x[row * inputs + i] ?? NaN) * (weight[output * inputs + i] ?? NaN);
    }
    return total;
  });
}

/** Rows side by side. */
function beside(a: readonly number[], b: readonly number[]): number[] {
  const [wide, other] = [a.length / BATCH, b.length / BATCH];
  return Array.from({ length: BATCH }, (_, row) => [
    ...a.slice(row * wide, (row + 1) * wide),
    ...b.slice(row * other, (row + 1) * other),
  ]).flat();
}

const plus = (a: readonly number[], b: readonly number[]) => a.map((value, at) => value + (b[at] ?? NaN));

interface Case {
  readonly layer: Layer;
  readonly parameters: Record<string, readonly number[]>;
  readonly outputShape: readonly number[];
  readonly reference: (x: readonly number[], parameters: Parameters) => readonly number[];
  readonly frozen?: readonly string[];
}

const CASES: Readonly<Record<string, Case>> = {
  "residual adds what it is given": {
    layer: residual(sequential(linear(WIDTH, WIDTH), tanh())),
    parameters: { "0.weight": [WIDTH, WIDTH], "0.bias": [WIDTH] },
    outputShape: [BATCH, WIDTH],
    reference: (x, parameters) => plus(x, projected(x, parameters, "0.").map(Math.tanh)),
  },
  "parallel puts named branches side by side": {
    layer: parallel({ narrow: linear(WIDTH, 2), wide: sequential(linear(WIDTH, 3), tanh()) }),
    parameters: {
      "narrow.weight": [2, WIDTH],
      "narrow.bias": [2],
      "wide.0.weight": [3, WIDTH],
      "wide.0.bias": [3],
    },
    outputShape: [BATCH, 5],
    reference: (x, parameters) =>
      beside(projected(x, parameters, "narrow."), projected(x, parameters, "wide.0.").map(Math.tanh)),
  },
  "parallel adds branches of a list": {
    layer: parallel([linear(WIDTH, 2), linear(WIDTH, 2)], { join: "sum" }),
    parameters: { "0.weight": [2, WIDTH], "0.bias": [2], "1.weight": [2, WIDTH], "1.bias": [2] },
    outputShape: [BATCH, 2],
    reference: (x, parameters) => plus(projected(x, parameters, "0."), projected(x, parameters, "1.")),
  },
  "remat computes what its layer does": {
    layer: sequential(remat(sequential(linear(WIDTH, 5), tanh())), remat(linear(5, 2))),
    parameters: { "0.0.weight": [5, WIDTH], "0.0.bias": [5], "1.weight": [2, 5], "1.bias": [2] },
    outputShape: [BATCH, 2],
    reference: (x, parameters) =>
      projected(projected(x, parameters, "0.0.").map(Math.tanh), parameters, "1."),
  },
  "lora adds a product of low rank to a linear layer that keeps its bits": {
    layer: lora(linear(WIDTH, 3), { rank: 2, alpha: 6 }),
    parameters: { "weight": [3, WIDTH], "bias": [3], "lora_A": [2, WIDTH], "lora_B": [3, 2] },
    outputShape: [BATCH, 3],
    frozen: ["weight", "bias"],
    reference: (x, parameters) => {
      const [a = [], b = []] = [parameters.lora_A, parameters.lora_B];
      const inner = projected(x, { weight: a, bias: [0, 0] }, "");
      const low = projected(inner, { weight: b, bias: [0, 0, 0] }, "");
      return plus(projected(x, parameters, ""), low.map((value) => 3 * value));
    },
  },
  "frozen leaves a layer as it is": {
    layer: sequential(frozen(sequential(linear(WIDTH, 5), tanh())), linear(5, 2)),
    parameters: { "0.0.weight": [5, WIDTH], "0.0.bias": [5], "1.weight": [2, 5], "1.bias": [2] },
    outputShape: [BATCH, 2],
    frozen: ["0.0.weight", "0.0.bias"],
    reference: (x, parameters) =>
      projected(projected(x, parameters, "0.0.").map(Math.tanh), parameters, "1."),
  },
  "a weight that two layers share by asking gets both gradients": {
    layer: (x, scope) => {
      const tied = (): ReturnType<Layer> => scope.shared("tied", [WIDTH, WIDTH], xavierUniform());
      return matmul(tanh()(matmul(x, tied(), { transposeB: true }), scope), tied());
    },
    parameters: { tied: [WIDTH, WIDTH] },
    outputShape: [BATCH, WIDTH],
    reference: (x, { tied = [] }) => {
      const zeros = Array<number>(WIDTH).fill(0);
      const inner = projected(x, { weight: tied, bias: zeros }, "").map(Math.tanh);
      const turned = tied.map((_, at) => tied[at % WIDTH * WIDTH + Math.floor(at / WIDTH)] ?? NaN);
      return projected(inner, { weight: turned, bias: zeros }, "");
    },
  },
};

describe("LA-07 layers of layers", () => {
  for (const [name, { layer, parameters, outputShape, reference, frozen = [] }] of Object.entries(CASES)) {
    test(`LA-07 ${name}, by its parameters' names`, () => {
      expect(shapesOf(layer, [BATCH, WIDTH])).toEqual({ output: outputShape, parameters });
    });

    gpuTest(`LA-07 ${name}, over 20 steps as in float64`, async (gpu) => {
      await checkLayerTraining(gpu, { layer, shape: [BATCH, WIDTH], outputShape, reference, frozen });
    });
  }

  gpuTest("LA-07 remat has the dropout of its layer, in training and in evaluation", async (gpu) => {
    const x = HostTensor.from(Array.from({ length: 12 }, (_, at) => at + 1), [BATCH, WIDTH], "f32");
    for (const isTraining of [true, false]) {
      const plain = await forward(gpu, dropout(0.5), x, { isTraining });
      expect(await forward(gpu, remat(dropout(0.5)), x, { isTraining })).toEqual(plain);
    }
  });

  gpuTest("LA-07 lora begins with what its layer gives, and its own dropout is for training", async (gpu) => {
    const x = HostTensor.from(Array.from({ length: 12 }, (_, at) => at + 1), [BATCH, WIDTH], "f32");
    const parameters = {
      weight: HostTensor.from(Array.from({ length: 8 }, (_, at) => Math.sin(at)), [2, WIDTH], "f32"),
      bias: HostTensor.from([1, 2], [2], "f32"),
    };
    const plain = await forward(gpu, linear(WIDTH, 2), x, { parameters });
    expect(await forward(gpu, lora(linear(WIDTH, 2), { rank: 3 }), x, { parameters })).toEqual(plain);
    const changed = { ...parameters, lora_B: HostTensor.from([1, 1], [2, 1], "f32") };
    const run = (dropout: number, isTraining: boolean): Promise<number[]> =>
      forward(gpu, lora(linear(WIDTH, 2), { rank: 1, dropout }), x, { parameters: changed, isTraining });
    expect(await run(0.5, false)).toEqual(await run(0, false));
    expect(await run(0.5, true)).not.toEqual(await run(0, true));
  });

  gpuTest(
    "LA-07 frozen parameters have no gradient and no moment, and train says nothing of them",
    async (gpu) => {
      const model = lora(linear(FEATURES, CLASSES), { rank: 2 });
      await withTrainer(gpu, smallRun({ model }), async ({ trainer, store }) => {
        const { warnings } = await trainer.train({ steps: 3, progress: false });
        expect(warnings).toEqual([]);
        const names = store.tensors().map(({ name }) => name);
        expect(names.filter((name) => name.endsWith(".weight"))).toEqual(["model.weight"]);
        expect(names.filter((name) => name.endsWith(".lora_A")).length).toBeGreaterThan(1);
      });
    },
  );

  test("LA-07 lora refuses what is not linear, and a model of which nothing is trained is refused", () => {
    expect(() => lora(conv2d(3, 2, 1), { rank: 2 })).toThrow(
      "lora: wraps what nn.linear() makes, found conv2d(3, 2, 1); wrap each linear()",
    );
    const scaled: Layer = (x) => x;
    expect(() => lora(scaled, { rank: 2 })).toThrow("found scaled; wrap");
    expect(() => lora(linear(2, 2), { rank: 0 })).toThrow("lora: the rank is a whole number from 1, found 0");
    expect(() => lora(linear(2, 2), { rank: 1, alpha: NaN })).toThrow("lora: alpha is a number, found NaN");
    expect(() => lora(linear(2, 2), { rank: 1, dropout: 1 })).toThrow("the rate is from 0 to below 1");
    const scope = Scope.root({ isTraining: true });
    frozen(linear(2, 3))(input("x", "f32", [4, 2]), scope);
    expect(() => new ParameterRules(sgd({ learningRate: 0.1 }), scope.parameters)).toThrow(
      "Every parameter is frozen, by its layer or by the groups of sgd",
    );
  });

  gpuTest(
    "LA-07 remat trains a layer with buffers to the same bits, and counts each step once",
    async (gpu) => {
      const trained = async (wrap: (layer: Layer) => Layer): Promise<Record<string, string>> => {
        const hidden = wrap(sequential(linear(FEATURES, 9), batchNorm(9), tanh(), dropout(0.25)));
        const options = smallRun({ model: sequential(hidden, linear(9, CLASSES)) });
        return await withTrainer(gpu, options, async ({ trainer, tensors }) => {
          await trainer.train({ steps: 5, progress: false });
          return await tensors();
        });
      };
      expect(await trained(remat)).toEqual(await trained((layer) => layer));
    },
  );

  test("LA-07 parallel joins images along their channels unless told otherwise", () => {
    const [left, right] = [conv2d(3, 2, 1), conv2d(3, 5, 3, { padding: "same" })];
    expect(shapesOf(parallel({ left, right }), [2, 3, 6, 6]).output).toEqual([2, 7, 6, 6]);
    const same = conv2d(3, 2, 1);
    expect(shapesOf(parallel([same, conv2d(3, 2, 1)], { axis: -1 }), [2, 3, 6, 6]).output).toEqual([
      2,
      2,
      6,
      12,
    ]);
    // The same layer twice is two branches with weights of their own, since a branch is a scope of its own.
    expect(Object.keys(shapesOf(parallel([same, same]), [2, 3, 6, 6]).parameters)).toHaveLength(4);
  });

  test("LA-07 layers that do not fit together say where they are and both shapes", () => {
    expect(() => shapesOf(sequential(relu(), residual(linear(4, 3))), [2, 4])).toThrow(
      'residual at "1": its layer makes f32 [2, 3] of f32 [2, 4], which cannot be added',
    );
    const branches = { a: linear(4, 3), b: sequential(linear(4, 3), (x) => x) };
    expect(shapesOf(parallel(branches, { join: "sum" }), [2, 4]).output).toEqual([2, 3]);
    expect(() =>
      shapesOf(sequential(relu(), parallel({ ...branches, c: linear(4, 2) }, { join: "sum" })), [2, 4])
    )
      .toThrow('parallel at "1": "c" gives f32 [2, 2], "a" f32 [2, 3]; they are added, so make them equal');
    expect(() => shapesOf(parallel({ ...branches, c: linear(4, 2) }, { axis: 0 }), [2, 4])).toThrow(
      'parallel: "c" gives f32 [2, 2], "a" f32 [2, 3]; make them equal but for axis 0',
    );
    expect(() => shapesOf(parallel(branches, { axis: 2 }), [2, 4])).toThrow(
      'there is no axis 2 in [2, 3], of "a"',
    );
  });

  test("LA-07 what is no layer is refused where it is given", () => {
    const none = undefined as unknown as Layer;
    expect(() => residual(none)).toThrow(
      "residual: its layer is a function (x, scope) => value, found undefined",
    );
    expect(() => remat(none)).toThrow("remat: its layer is a function");
    expect(() => parallel([relu(), none])).toThrow('parallel: its branch "1" is a function');
    expect(() => parallel([])).toThrow("parallel: there is no branch");
    expect(() => parallel(relu() as never)).toThrow("parallel: takes { name: layer, … } or a list of layers");
    expect(() => parallel([relu()], { join: "product" as "sum" })).toThrow(
      'join is "concat" or "sum", found "product"',
    );
    expect(() => parallel([relu()], { join: "sum", axis: 1 })).toThrow("an axis is for join");
  });
});
