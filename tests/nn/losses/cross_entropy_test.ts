import { describe, expect, test } from "bun:test";
import { gradients } from "../../../src/graph/autodiff.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import { descriptionOf } from "../../../src/base/description.ts";
import { crossEntropy, linear } from "../../../src/nn/nn.ts";
import { sgd } from "../../../src/nn/optim/optim.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { DataLoader } from "../../../src/data/data_loader.ts";
import { batchTerms, meanOfTerm } from "../../../src/train/measure/batch_loss.ts";
import { expectNear, runValues } from "../../graph/run_values.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { withTrainer } from "../../train/fixtures.ts";
import { checkLoss, type ExampleReference } from "./loss_check.ts";

const CLASSES = 5;
const WEIGHTS = [0.5, 2, 1, 0.25, 3];

interface Options {
  readonly labelSmoothing?: number;
  readonly ignoreIndex?: number;
  readonly weights?: readonly number[];
}

/** Losses of all classes of a position. */
function classLosses(logits: readonly number[]): number[] {
  const largest = Math.max(...logits);
  const total = logits.reduce((sum, x) => sum + Math.exp(x - largest), 0);
  return logits.map((x) => Math.log(total) + largest - x);
}

/** PyTorch's definition, position by position. */
function hard({ labelSmoothing = 0, ignoreIndex, weights }: Options, classes = CLASSES): ExampleReference {
  return (output, labels) => {
    let [value, weight] = [0, 0];
    labels.forEach((label, position) => {
      if (label === ignoreIndex) return;
      const losses = classLosses(output.slice(position * classes, (position + 1) * classes));
      const of = (each: number): number => weights?.[each] ?? 1;
      value += (1 - labelSmoothing) * of(label) * (losses[label] ?? NaN);
      losses.forEach((loss, each) => value += labelSmoothing / classes * of(each) * loss);
      weight += of(label);
    });
    // Where nothing is left out, an example is one whatever its length.
    const isPlain = ignoreIndex === undefined && weights === undefined;
    return isPlain ? { value: value / labels.length, weight: 1 } : { value, weight };
  };
}

function soft({ labelSmoothing = 0, weights }: Options): ExampleReference {
  return (output, labels) => {
    const positions = labels.length / CLASSES;
    let value = 0;
    for (let position = 0; position < positions; position++) {
      const losses = classLosses(output.slice(position * CLASSES, (position + 1) * CLASSES));
      losses.forEach((loss, each) => {
        const expected = (labels[position * CLASSES + each] ?? NaN) * (1 - labelSmoothing) +
          labelSmoothing / CLASSES;
        value += expected * (weights?.[each] ?? 1) * loss;
      });
    }
    return { value: value / positions, weight: 1 };
  };
}

const OPTIONS: Readonly<Record<string, Options>> = {
  "as it is": {},
  "with label smoothing": { labelSmoothing: 0.1 },
  "with weights of classes": { weights: WEIGHTS },
  "with smoothing and weights": { labelSmoothing: 0.3, weights: WEIGHTS },
};
const POSITIONS: Readonly<Record<string, readonly number[]>> = {
  "of one class an example": [],
  "of sequences": [2, 3],
};

describe("crossEntropy", () => {
  for (const [how, options] of Object.entries(OPTIONS)) {
    for (const [what, positions] of Object.entries(POSITIONS)) {
      for (const dtype of ["u8", "i32", "u32"] as const) {
        gpuTest(`LO-01 ${how} ${what}, labels ${dtype}, is PyTorch's in float64`, async (gpu) => {
          const ignoreIndex = dtype === "i32" ? -100 : dtype === "u8" ? 255 : undefined;
          const given = dtype === "u8" ? { ...options, ignoreIndex: 255 } : options;
          await checkLoss(gpu, {
            loss: crossEntropy(given),
            reference: hard({ ...options, ...ignoreIndex === undefined ? {} : { ignoreIndex } }),
            outputShape: [...positions, CLASSES],
            labelShape: positions,
            labelDType: dtype,
            labelOf: (x) => x < 0.2 && ignoreIndex !== undefined ? ignoreIndex : Math.floor(x * CLASSES),
          });
        });
      }
      gpuTest(`LO-01 ${how} ${what}, soft labels, is PyTorch's in float64`, async (gpu) => {
        await checkLoss(gpu, {
          loss: crossEntropy(options),
          reference: soft(options),
          outputShape: [...positions, CLASSES],
          labelShape: [...positions, CLASSES],
          labelOf: (x) => x,
        });
      });
    }
  }

  gpuTest("LO-01 has the same for 1, 2 and 300 classes, by both variants of the kernel", async (gpu) => {
    for (const classes of [1, 2, 129, 300]) {
      const weights = Array.from({ length: classes }, (_, index) => 0.5 + index % 3);
      for (const options of [{}, { labelSmoothing: 0.2, weights }]) {
        await checkLoss(gpu, {
          loss: crossEntropy(options),
          reference: hard(options, classes),
          outputShape: [classes],
          labelShape: [],
          labelDType: "u32",
          labelOf: (x) => Math.floor(x * classes),
          tolerance: 1e-5,
        }, [3]);
      }
    }
  });

  gpuTest(
    "LO-01 an ignored label hides NaN and infinity, and a batch of them alone costs nothing",
    async (gpu) => {
      const [logits, labels] = [input("x", "f32", [4, 2, 3]), input("y", "i32", [4, 2])];
      const x = Array.from({ length: 24 }, (_, at) => at % 5);
      // All of example 1, and one position of examples 2 and 3.
      const y = [0, 1, -100, -100, 2, -100, -100, 1];
      for (const at of [6, 7, 8, 9, 10, 11, 15, 16, 17, 18, 19, 20]) x[at] = at % 2 === 0 ? NaN : Infinity;
      const values = (): Parameters<typeof runValues>[1] => {
        const [term] = batchTerms(crossEntropy({ labelSmoothing: 0.1 }), logits, labels, 4);
        if (term === undefined) throw new Error("no term");
        const loss = meanOfTerm(term);
        return [loss, ...gradients(loss, [logits])];
      };
      const [loss, gradient] = await runValues(gpu, values(), { x, y });
      expect(Number.isFinite(loss?.toArray()[0])).toBe(true);
      const found = Array.from(gradient?.toArray() ?? [], Number);
      expect(found.every(Number.isFinite)).toBe(true);
      expect(found.map((each, at) => each === 0 ? at : -1).filter((at) => at >= 0)).toEqual([
        6,
        7,
        8,
        9,
        10,
        11,
        15,
        16,
        17,
        18,
        19,
        20,
      ]);
      const nothing = { x: x.map(() => NaN), y: y.map(() => -100) };
      for (const tensor of await runValues(gpu, values(), nothing)) {
        const found = Array.from(tensor.toArray() as Float32Array);
        expectNear(found, found.map(() => 0), 0);
      }
    },
  );

  gpuTest(
    "LO-01 the trainer refuses a label that is neither a class nor the ignored one",
    async (gpu) => {
      const trained = async (label: number, ignoreIndex?: number): Promise<string> => {
        const labels = Int32Array.of(0, 2, 1, label);
        const data = DataLoader.from({
          inputs: HostTensor.from(new Float32Array(8), [4, 2]),
          labels: HostTensor.from(labels, [4]),
        }, { batchSize: 4 });
        const options = {
          model: linear(2, 3),
          loss: crossEntropy({ ignoreIndex }),
          optimizer: sgd({ learningRate: 0.1 }),
          data,
        };
        return await withTrainer(gpu, options, async ({ trainer }) => {
          const ended = await trainer.train({ epochs: 1, progress: false }).then(() => "trained", String);
          expect(trainer.history.length).toBe(ended === "trained" ? 1 : 0);
          return ended;
        });
      };
      expect(await trained(-100)).toBe("trained");
      expect(await trained(-1, -1)).toBe("trained");
      expect(await trained(3, 3)).toBe("trained");
      const expected = "and crossEntropy takes whole numbers from 0 to 2, and -100 for none";
      for (const label of [-1, 3, 255]) expect(await trained(label)).toContain(`is ${label}, ${expected}`);
      expect(await trained(-100, -1)).toContain(
        "is -100, and crossEntropy takes whole numbers from 0 to 2, and -1 for none",
      );
    },
  );

  test("LO-01 says what does not fit", async () => {
    const [logits, labels] = [input("x", "f32", [4, 3]), input("y", "u32", [4])];
    const messageOf = async (work: () => unknown): Promise<string> => (await thrownBy(work)).message;
    expect(await messageOf(() => crossEntropy({ labelSmoothing: 1.5 }))).toContain("from 0 to 1, found 1.5");
    expect(await messageOf(() => crossEntropy()(input("x", "f32", [4]), labels))).toContain(
      "[batch, …, classes]",
    );
    expect(await messageOf(() => crossEntropy()(logits, input("y", "u32", [5])))).toContain(
      "labels of shape [4]",
    );
    expect(await messageOf(() => crossEntropy()(logits, input("y", "f32", [4])))).toContain(
      "found f32 of shape [4]",
    );
    expect(await messageOf(() => crossEntropy({ weights: [1, 2] })(logits, labels))).toContain(
      "there are weights of 2 classes, and logits of 3",
    );
    expect(await messageOf(() => crossEntropy({ weights: [1, 2, -1] })(logits, labels))).toContain(
      "found -1",
    );
    expect(await messageOf(() => crossEntropy({ ignoreIndex: -1 })(logits, labels))).toContain(
      "ignoreIndex is -1, which no label of dtype u32 is",
    );
    expect(await messageOf(() => crossEntropy({ ignoreIndex: 1 })(logits, input("y", "f32", [4, 3]))))
      .toContain(
        "ignoreIndex is for labels that are classes",
      );
  });

  test("LO-01 is described by the options that are not as they are by default", () => {
    expect(descriptionOf(crossEntropy())).toEqual({ name: "crossEntropy" });
    expect(descriptionOf(crossEntropy({ labelSmoothing: 0, weights: undefined }))).toEqual({
      name: "crossEntropy",
    });
    expect(
      descriptionOf(crossEntropy({ labelSmoothing: 0.1, weights: Float32Array.of(1, 2), ignoreIndex: 0 })),
    )
      .toEqual({ name: "crossEntropy", labelSmoothing: 0.1, weights: [1, 2], ignoreIndex: 0 });
  });
});
