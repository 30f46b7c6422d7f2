import { describe, expect, test } from "bun:test";
import { CairnError } from "../../../src/base/errors.ts";
import { checkTag } from "../../../src/checkpoint/file/tags.ts";
import { NameTemplate } from "../../../src/train/saves/name_template.ts";

function expand(source: string, values: Record<string, number>): { name: string; missing: string[] } {
  const missing: string[] = [];
  const name = NameTemplate.parse(source).expand(values, (field) => missing.push(field));
  return { name, missing };
}

function errorOf(work: () => unknown): CairnError {
  try {
    work();
  } catch (error) {
    if (error instanceof CairnError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("NameTemplate", () => {
  test("NN-07 fields are formatted as Python's format does", () => {
    const values = { epoch: 7, step: 12345, loss: 0.123456, val_loss: -1.5, big: 1e21, tiny: 1.5e-7 };
    const cases: [string, string][] = [
      ["model_epoch{epoch:02d}", "model_epoch07"],
      ["e{epoch}", "e7"],
      ["e{epoch:03}", "e007"],
      ["{step}", "12345"],
      ["s{step:08d}", "s00012345"],
      ["s{step:2d}", "s12345"],
      ["a-{loss:.4f}", "a-0.1235"],
      ["a-{loss:08.4f}", "a-000.1235"],
      ["a-{loss:f}", "a-0.123456"],
      ["a-{loss:.2}", "a-0.12"],
      ["a{val_loss:.2f}", "a-1.50"],
      ["a{val_loss:08.2f}", "a-0001.50"],
      ["a{big}", "a1e21"],
      ["a{tiny}", "a1.5e-7"],
      ["e{epoch:02d}-l{loss:.3f}-s{step}", "e07-l0.123-s12345"],
      ["plain", "plain"],
    ];
    for (const [source, name] of cases) expect(expand(source, values)).toEqual({ name, missing: [] });
  });

  test("NN-07 the extension is not doubled", () => {
    expect(expand("model{epoch}.cairn", { epoch: 1 }).name).toBe("model1");
  });

  test("NN-07 a metric that is missing shows na, is reported, and leaves no braces", () => {
    expect(expand("digits-{epoch:02d}-{val_loss:.4f}", { epoch: 3 })).toEqual({
      name: "digits-03-na",
      missing: ["val_loss"],
    });
  });

  test("NaN and infinity have names", () => {
    expect(expand("a{loss:08.4f}", { loss: NaN }).name).toBe("anan");
    expect(expand("a{loss:.4f}", { loss: Infinity }).name).toBe("ainf");
    expect(expand("a{loss:.4f}", { loss: -Infinity }).name).toBe("a-inf");
  });

  test("NN-07 a field that the run can never have is refused when it is configured, with the known ones", () => {
    const error = errorOf(() => NameTemplate.parse("m-{val_los:.4f}", ["epoch", "step", "val_loss"]));
    expect(error.code).toBe("unknown_field");
    expect(error.message).toBe(
      'The name template "m-{val_los:.4f}" has the field "val_los", which this run never has; ' +
        "known fields are epoch, step, val_loss",
    );
    expect(error.details.value).toBe("val_los");
  });

  test("NN-07 an invalid format is refused when it is configured", () => {
    for (
      const field of [
        "{}",
        "{0}",
        "{epoch!r}",
        "{epoch:>5}",
        "{epoch:x}",
        "{loss:.}",
        "{a.b}",
        "{a[0]}",
        "{epoch:+d}",
      ]
    ) {
      const error = errorOf(() => NameTemplate.parse(`m${field}`, ["epoch", "loss"]));
      expect(error.code).toBe("unknown_field");
      expect(error.message).toContain(`Cannot read "${field}" in the name template "m${field}"`);
      expect(error.message).toContain("{name:03d}");
      expect(error.message).toContain("epoch, loss");
    }
  });

  test("text that no checkpoint's name may have is refused when it is configured", () => {
    for (
      const source of ["a/b", "../up", "a b", "{{epoch}}", "{epoch", "epoch}", "", "-a", "a.", "é", ".cairn"]
    ) {
      const error = errorOf(() => NameTemplate.parse(source, ["epoch"]));
      expect(error.code).toBe("invalid_tag");
      expect(error.message).toContain("letters, digits");
    }
  });

  test("a name that is a number and not the step would be read as a step, so it is refused", () => {
    for (const source of ["{epoch}", "{epoch:03d}", "2025", "{step}{epoch}", "{val_loss:d}"]) {
      expect(errorOf(() => NameTemplate.parse(source)).message).toContain("those are read as steps");
    }
    expect(NameTemplate.parse("{step}").fields).toEqual(["step"]);
  });

  test("a value that a name cannot begin with is named by its field", () => {
    const cases: [string, Record<string, number>, string][] = [
      ["{loss:.3f}", { loss: -0.25 }, "loss_-0.250"],
      ["{loss:.3f}-{epoch}", { loss: -Infinity, epoch: 2 }, "loss_-inf-2"],
      ["{_score:.1f}", { _score: -1 }, "score_-1.0"],
      ["{__:.1f}", { __: -1 }, "value_-1.0"],
      ["{loss:.3f}", { loss: NaN }, "nan"],
      ["{loss:.3f}", { loss: 0.25 }, "0.250"],
    ];
    for (const [source, values, name] of cases) expect(expand(source, values).name).toBe(name);
  });

  test("values that make a number of a name that is no step, or a reserved one, are named by their field", () => {
    const cases: [string, Record<string, number>, string][] = [
      // "1.00" is a name, and "123" would be the step 123.
      ["{loss:.3}", { loss: 1 }, "1.00"],
      ["{loss:.3}", { loss: 123 }, "loss_123"],
      ["2{loss:.3}", { loss: 123 }, "loss_2123"],
      ["com{epoch}", { epoch: 1 }, "epoch_com1"],
      ["lpt{epoch}.{step}", { epoch: 3, step: 7 }, "epoch_lpt3.7"],
      ["com{epoch}", { epoch: 10 }, "com10"],
      ["{step}", { step: 123 }, "123"],
    ];
    for (const [source, values, name] of cases) expect(expand(source, values).name).toBe(name);
  });

  test("a name that its values make too long is cut, and stays another one than those of other values", () => {
    const text = "x".repeat(110);
    const names = [1, 2].map((epoch) => expand(`${text}-{epoch:030d}`, { epoch }).name);
    expect(names.map((name) => name.length)).toEqual([128, 128]);
    expect(new Set(names).size).toBe(2);
    for (const name of names) expect(name).toMatch(/^x{110}-0{8}-[0-9a-f]{8}$/);
    const [negative, positive] = [-1e20, 1e20].map((loss) => expand("{loss:.99f}", { loss }).name);
    expect(negative).toMatch(/^loss_-1000/);
    expect(positive).toMatch(/^1000/);
  });

  test("whatever the values are, the name is one that a checkpoint may have", () => {
    const sources = [
      "{loss:d}x",
      "{loss:f}",
      "{loss:.99f}",
      "{loss:099d}.z",
      "a.{loss}",
      "{loss}.{loss}",
      "{loss:.3}",
    ];
    const values = [
      0,
      -0,
      1,
      -1,
      12,
      0.1,
      -0.1,
      1e-320,
      1e21,
      -1e21,
      1.7e308,
      NaN,
      Infinity,
      -Infinity,
      2 ** 53,
    ];
    for (const source of sources) {
      for (const loss of values) {
        const { name } = expand(source, { loss });
        expect(checkTag(name)).toBe(name);
      }
    }
  });

  test("a template is a string", () => {
    expect(() => NameTemplate.parse(null as unknown as string)).toThrow(
      "A name template is a string, found null",
    );
  });

  test("lists its fields once", () => {
    expect(NameTemplate.parse("{epoch}-{loss}-{epoch:02d}").fields).toEqual(["epoch", "loss"]);
  });
});
