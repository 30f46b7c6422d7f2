import { describe, expect, test } from "bun:test";
import type { DType } from "../../../src/base/dtype.ts";
import { matmul } from "../../../src/graph/ops/matmul.ts";
import { add } from "../../../src/graph/ops/arithmetic.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import * as nn from "../../../src/nn/nn.ts";
import { formatShape } from "../../../src/tensor/shape.ts";

/** What of `nn` makes no layer, or one of layers. */
const NO_LAYERS = new Set([
  ..."filled kaimingNormal kaimingUniform normal ones uniform xavierNormal xavierUniform zeros".split(" "),
  ..."calculateGain eye orthogonal truncatedNormal varianceScaling".split(" "),
  ..."binaryCrossEntropy combineLosses crossEntropy cosineSimilarity huber klDivergence".split(" "),
  ..."l1Penalty l2Penalty logCosh lossByOutput mae metricsByOutput mse nll".split(" "),
  ..."accuracy confusionMatrix perplexity f1 precision recall r2 rmse topK".split(" "),
  ..."Model Scope layer sequential".split(" "),
]);

const OF_ANY_DTYPE = new Set(["flatten", "fromImages"]);

/** A layer, an input that it takes, and those that it does not with the shape that the message says it takes. */
interface Case {
  readonly layer: nn.Layer;
  readonly takes: readonly number[];
  readonly dtype?: DType;
  /** `undefined` where any shape will do. */
  readonly wrong?: readonly (readonly [shape: readonly number[], expected: string])[];
}

const anyShape = (layer: nn.Layer): Case => ({ layer, takes: [2, 3] });

const RECURRENT = [[[2, 5, 6], "[batch, time, 4]"], [[2, 4], "[batch, time, 4]"]] as const;

const CASES: Readonly<Record<string, Case>> = {
  relu: anyShape(nn.relu()),
  leakyRelu: anyShape(nn.leakyRelu()),
  elu: anyShape(nn.elu()),
  selu: anyShape(nn.selu()),
  tanh: anyShape(nn.tanh()),
  sigmoid: anyShape(nn.sigmoid()),
  logSigmoid: anyShape(nn.logSigmoid()),
  softplus: anyShape(nn.softplus()),
  silu: anyShape(nn.silu()),
  mish: anyShape(nn.mish()),
  hardSwish: anyShape(nn.hardSwish()),
  gelu: anyShape(nn.gelu()),
  dropout: anyShape(nn.dropout(0.5)),
  fromImages: {
    layer: nn.fromImages({ mean: [0.5, 0.4, 0.3] }),
    takes: [2, 4, 4, 3],
    dtype: "u8",
    wrong: [[[2, 4], "[batch, rows, columns, channels]"], [[2, 4, 4, 5], "3 means"]],
  },
  flatten: { layer: nn.flatten(), takes: [2, 3, 4], wrong: [[[], "[batch, …]"]] },
  linear: {
    layer: nn.linear(4, 3),
    takes: [2, 4],
    wrong: [[[2, 5], "[batch, …, 4]"], [[4], "[batch, …, 4]"]],
  },
  layerNorm: { layer: nn.layerNorm(4), takes: [2, 4], wrong: [[[2, 5], "[…, 4]"]] },
  rmsNorm: { layer: nn.rmsNorm(4), takes: [2, 4], wrong: [[[2, 5], "[…, 4]"]] },
  groupNorm: { layer: nn.groupNorm(2, 4), takes: [2, 4, 3], wrong: [[[2, 5, 3], "[batch, 4, …]"]] },
  batchNorm: {
    layer: nn.batchNorm(4),
    takes: [2, 4],
    wrong: [[[2, 5], "[batch, 4, …]"], [[4], "[batch, 4, …]"]],
  },
  conv1d: {
    layer: nn.conv1d(3, 4, 2),
    takes: [2, 3, 5],
    wrong: [[[2, 4, 5], "[batch, 3, length]"], [[2, 3], "[batch, 3, length]"], [[2, 3, 1], "a window of 2"]],
  },
  conv2d: {
    layer: nn.conv2d(3, 4, 2),
    takes: [2, 3, 5, 5],
    wrong: [[[2, 4, 5, 5], "[batch, 3, rows, columns]"], [[2, 3, 1, 5], "a window of 2 rows"]],
  },
  depthwiseConv2d: {
    layer: nn.depthwiseConv2d(3, 2),
    takes: [2, 3, 5, 5],
    wrong: [[[2, 4, 5, 5], "[batch, 3, rows, columns]"]],
  },
  separableConv2d: {
    layer: nn.separableConv2d(3, 4, 2),
    takes: [2, 3, 5, 5],
    wrong: [[[2, 4, 5, 5], "[batch, 3, rows, columns]"]],
  },
  convTranspose2d: {
    layer: nn.convTranspose2d(3, 4, 2),
    takes: [2, 3, 5, 5],
    wrong: [[[2, 4, 5, 5], "[batch, 3, rows, columns]"]],
  },
  maxPool1d: { layer: nn.maxPool1d(2), takes: [2, 3, 4], wrong: [[[2, 3], "[batch, channels, length]"]] },
  maxPool2d: {
    layer: nn.maxPool2d(2),
    takes: [2, 3, 4, 4],
    wrong: [[[2, 3, 4], "[batch, channels, rows, columns]"], [[2, 3, 1, 4], "a window of 2"]],
  },
  avgPool1d: { layer: nn.avgPool1d(2), takes: [2, 3, 4], wrong: [[[2, 3], "[batch, channels, length]"]] },
  avgPool2d: {
    layer: nn.avgPool2d(2),
    takes: [2, 3, 4, 4],
    wrong: [[[2, 3, 4], "[batch, channels, rows, columns]"]],
  },
  globalAvgPool: { layer: nn.globalAvgPool(), takes: [2, 3, 4], wrong: [[[2, 3], "[batch, channels, …]"]] },
  globalMaxPool: { layer: nn.globalMaxPool(), takes: [2, 3, 4], wrong: [[[2, 3], "[batch, channels, …]"]] },
  upsample: {
    layer: nn.upsample(),
    takes: [2, 3, 4, 4],
    wrong: [[[2, 3, 4], "[batch, channels, rows, columns]"]],
  },
  embedding: { layer: nn.embedding(7, 4), takes: [2, 3], dtype: "u32" },
  learnedPositions: {
    layer: nn.learnedPositions(5, 4),
    takes: [2, 3, 4],
    wrong: [[[2, 3, 5], "[batch, positions, 4]"], [[2, 6, 4], "rows for 5 positions"]],
  },
  sinusoidalPositions: {
    layer: nn.sinusoidalPositions(4),
    takes: [2, 3, 4],
    wrong: [[[2, 4], "[batch, positions, 4]"]],
  },
  lstm: { layer: nn.lstm(4, 3), takes: [2, 5, 4], wrong: RECURRENT },
  gru: { layer: nn.gru(4, 3), takes: [2, 5, 4], wrong: RECURRENT },
  simpleRnn: { layer: nn.simpleRnn(4, 3), takes: [2, 5, 4], wrong: RECURRENT },
  residual: {
    layer: nn.residual(nn.linear(4, 4)),
    takes: [2, 4],
    wrong: [[[2, 5], "[batch, …, 4]"]],
  },
  parallel: {
    layer: nn.parallel({ a: nn.linear(4, 3), b: nn.linear(4, 2) }),
    takes: [2, 4],
    wrong: [[[2, 5], "[batch, …, 4]"]],
  },
  lora: { layer: nn.lora(nn.linear(4, 3), { rank: 2 }), takes: [2, 4], wrong: [[[2, 5], "[batch, …, 4]"]] },
  frozen: { layer: nn.frozen(nn.linear(4, 3)), takes: [2, 4], wrong: [[[2, 5], "[batch, …, 4]"]] },
  remat: { layer: nn.remat(nn.linear(4, 3)), takes: [2, 4], wrong: [[[2, 5], "[batch, …, 4]"]] },
  multiHeadAttention: {
    layer: nn.multiHeadAttention(8, 2),
    takes: [2, 3, 8],
    wrong: [[[2, 3, 6], "[batch, positions, 8]"], [[2, 8], "[batch, positions, 8]"]],
  },
  transformerBlock: {
    layer: nn.transformerBlock(8, 2),
    takes: [2, 3, 8],
    wrong: [[[2, 3, 6], "[batch, positions, 8]"]],
  },
};

/** What comes of calling `layer` at "encoder.block". */
function messageOf(layer: nn.Layer, dtype: DType, shape: readonly number[]): string {
  const model = nn.layer((x, scope) => layer(x, scope.child("encoder").child("block")));
  try {
    model(input("x", dtype, shape), nn.Scope.root({ isTraining: true }));
  } catch (error) {
    expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
    return (error as Error).message;
  }
  return "";
}

describe("what a layer says of an input that it does not take", () => {
  test("TR-08 every layer of nn is in the table", () => {
    const layers = Object.entries(nn).flatMap(([name, value]) =>
      typeof value === "function" && !NO_LAYERS.has(name) ? [name] : []
    );
    expect(Object.keys(CASES).sort()).toEqual(layers.sort());
  });

  for (const [name, { layer, takes, dtype = "f32", wrong = [] }] of Object.entries(CASES)) {
    test(`TR-08 ${name} names its path, and the shapes and dtypes of both`, () => {
      expect(messageOf(layer, dtype, takes)).toBe("");
      for (const [shape, expected] of wrong) {
        const message = messageOf(layer, dtype, shape);
        expect(message).toMatch(/ at "encoder\.block[".]/);
        expect(message).toContain(expected);
        expect(message).toContain(formatShape(shape));
        expect(message.match(/ at "/g)).toHaveLength(1);
      }
      const other = dtype === "f32" ? "u32" : "f32";
      if (OF_ANY_DTYPE.has(name)) return expect(messageOf(layer, other, takes)).toBe("");
      const message = messageOf(layer, other, takes);
      expect(message).toMatch(/ at "encoder\.block[".]/);
      expect(message).toContain(other);
      expect(message).toContain(dtype);
      expect(message).toContain(formatShape(takes));
    });
  }

  test("TR-08 a layer of one's own does so, by the name of its function, in a sequence and by itself", () => {
    const twisted: nn.Layer = (x, scope) => matmul(x, scope.parameter("weight", [5, 2], nn.zeros()));
    const sequence = nn.sequential(nn.linear(4, 3), nn.sequential(nn.relu(), twisted));
    const message = messageOf(sequence, "f32", [2, 4]);
    expect(message).toContain('twisted at "encoder.block.1.1" cannot take [2, 3]: matmul: ');
    expect(message).toContain("[5, 2]");
    expect(messageOf(nn.layer(twisted, "twist(5)"), "f32", [2, 3])).toContain(
      'twist(5) at "encoder.block" cannot take [2, 3]: matmul: ',
    );
  });

  test("TR-08 a sum of two branches that do not fit names the layer that adds them, and both shapes", () => {
    const branches = nn.layer((x, scope) => {
      const [a, b] = [nn.linear(4, 3), nn.linear(4, 2)];
      return add(a(x, scope.child("a")), b(x, scope.child("b")));
    }, "branches");
    const message = messageOf(branches, "f32", [2, 4]);
    expect(message).toContain(
      'branches at "encoder.block" cannot take [2, 4]: add: shapes [2, 3] and [2, 2]',
    );
  });

  test("an error that is none of these stays what it is", () => {
    const problem = new Error("no such file");
    const broken = nn.layer(() => {
      throw problem;
    });
    const found = (() => {
      try {
        return broken(input("x", "f32", [1]), nn.Scope.root({ isTraining: true }));
      } catch (error) {
        return error;
      }
    })();
    expect(found).toBe(problem);
  });
});
