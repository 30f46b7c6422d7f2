import { describe, expect, test } from "bun:test";
import { checkOptions, type OptionNames } from "../../../src/base/options/options.ts";
import { nearestName } from "../../../src/base/options/nearest_name.ts";

interface Sample {
  readonly epochs: number;
  readonly learningRate?: number;
  readonly onStep?: () => void;
}

const SAMPLE: OptionNames<Sample> = { epochs: true, learningRate: true, onStep: true };

/** Options as JavaScript writes them, where nothing checks names. */
function check(options: unknown, example?: string): Sample {
  return checkOptions("train()", options as Sample, SAMPLE, example);
}

describe("checkOptions", () => {
  test("gives back what it was given, with the options that it has", () => {
    for (
      const options of [{ epochs: 3 }, { epochs: 3, onStep: undefined }, Object.create({ epochs: 3 }), {}]
    ) {
      expect(check(options)).toBe(options);
    }
  });

  test("says what is expected, with an example, and what it found", () => {
    const found: [unknown, string][] = [
      [undefined, "undefined"],
      [null, "null"],
      [3, "a number"],
      ["x", "a string"],
      [[], "an array"],
      [new Map([["epochs", 3]]), "a Map"],
      [new Float32Array(1), "a Float32Array"],
      [() => ({ epochs: 3 }), "a function"],
      [Promise.resolve({ epochs: 3 }), "a promise; await it first"],
    ];
    for (const [wrong, kind] of found) {
      expect(() => check(wrong, "{ epochs: 10 }")).toThrow(
        new TypeError(`train() takes options like { epochs: 10 }, found ${kind}`),
      );
    }
    expect(() => check(3)).toThrow(
      "train() takes options like { epochs, learningRate, onStep }, found a number",
    );
  });

  test("refuses a name that it does not have, and says the one that was meant", () => {
    expect(() => check({ epochs: 1, onstep: () => {} })).toThrow(
      new TypeError('train() has no option "onstep"; did you mean "onStep"?'),
    );
    expect(() => check({ epochs: 1, colour: "red" })).toThrow(
      new TypeError('train() has no option "colour"; it has epochs, learningRate and onStep'),
    );
  });

  test("refuses a name that stands in the prototype, one that is undefined, and one that every object has", () => {
    expect(() => check(Object.create({ epoch: 1 }))).toThrow('"epoch"; did you mean "epochs"?');
    expect(() => check({ epoch: undefined })).toThrow('"epoch"');
    expect(() => check({ toString: () => "" })).toThrow('"toString"');
    expect(() => check(JSON.parse('{"__proto__": 1}'))).toThrow('"__proto__"');
  });
});

describe("nearestName", () => {
  const cases: [string, string, readonly string[]][] = [
    ["optimiser", "optimizer", ["model", "loss", "optimizer", "data"]],
    ["lr", "learningRate", ["learningRate", "beta1", "beta2"]],
    ["axis", "axes", ["axes", "keepDims"]],
    ["axes", "axis", ["axis", "keepDims"]],
    ["batch_size", "batchSize", ["batchSize", "shuffle", "seed"]],
    ["weightdecay", "weightDecay", ["momentum", "nesterov", "weightDecay"]],
    ["momentun", "momentum", ["momentum", "nesterov", "weightDecay"]],
    ["shufle", "shuffle", ["batchSize", "shuffle", "seed"]],
    ["keepdim", "keepDims", ["axes", "keepDims"]],
    ["lsat", "last", ["last", "best", "rule"]],
    ["dirPath", "savePath", ["interval", "savePath", "name"]],
  ];
  for (const [wrong, meant, names] of cases) {
    test(`"${wrong}" means "${meant}"`, () => expect(nearestName(wrong, names)).toBe(meant));
  }

  test("a name that is near none has none", () => {
    expect(nearestName("colour", ["epochs", "signal", "onStep"])).toBeUndefined();
    expect(nearestName("x", ["a", "b"])).toBeUndefined();
    expect(nearestName("anything", [])).toBeUndefined();
  });
});
