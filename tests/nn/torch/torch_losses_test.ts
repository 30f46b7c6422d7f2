import { describe, expect, test } from "bun:test";
import { gradients } from "../../../src/graph/autodiff.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import * as nn from "../../../src/nn/nn.ts";
import { batchTerms, meanOfTerm } from "../../../src/train/measure/batch_loss.ts";
import { runValues } from "../../graph/run_values.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { expectClose } from "../../kernels/numbers.ts";
import { torchCases } from "./torch_cases.ts";

const weights = [0.5, 2, 1, 0.25];

/** What each of PyTorch's losses is called here. */
const LOSSES: Readonly<Record<string, nn.Loss>> = {
  crossEntropy: nn.crossEntropy(),
  "crossEntropy with weights and smoothing": nn.crossEntropy({ weights, labelSmoothing: 0.1 }),
  "crossEntropy with ignored labels": nn.crossEntropy(),
  "crossEntropy of soft labels": nn.crossEntropy(),
  "crossEntropy of sequences": nn.crossEntropy(),
  "nll with weights": nn.nll({ weights }),
  binaryCrossEntropy: nn.binaryCrossEntropy(),
  "binaryCrossEntropy with positiveWeight": nn.binaryCrossEntropy({ positiveWeight: [2, 0.5, 3] }),
  mse: nn.mse(),
  mae: nn.mae(),
  huber: nn.huber({ delta: 0.5 }),
  klDivergence: nn.klDivergence(),
  "klDivergence of logarithms": nn.klDivergence({ logTarget: true }),
  cosineSimilarity: nn.cosineSimilarity(),
};

const { losses } = torchCases();

describe("losses beside PyTorch's", () => {
  test("every case of PyTorch is one of these losses", () => {
    expect(losses.map(({ name }) => name)).toEqual(Object.keys(LOSSES));
  });

  for (const each of losses) {
    gpuTest(`LO-01 LO-02 ${each.name} has PyTorch's mean and gradient`, async (gpu) => {
      const [size = 0] = each.outputShape;
      const output = input("output", "f32", each.outputShape);
      const labels = input("labels", each.labelDType, each.labelShape);
      const loss = LOSSES[each.name] as nn.Loss;
      const [term] = batchTerms((given) => loss(given, labels, undefined), output, labels, size);
      if (term === undefined) throw new Error("There is no term");
      const mean = meanOfTerm(term);
      const [found, slopes] = (await runValues(gpu, [mean, ...gradients(mean, [output])], {
        output: each.output,
        labels: each.labels,
      })).map((tensor) => Array.from(tensor.toArray(), Number));
      expectClose(found ?? [], [each.loss], { absolute: 1e-6, relative: 2e-6 });
      expectClose(slopes ?? [], each.gradient, { absolute: 1e-6, relative: 1e-5 });
    });
  }
});
