import { describe, expect, test } from "bun:test";
import { CairnError } from "../../src/base/errors.ts";
import { NameTemplate } from "../../src/train/name_template.ts";

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

  test("NN-07 a format that is none is refused when it is configured", () => {
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

  test("text that can be in no checkpoint's name is refused when it is configured", () => {
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

  test("a template is a string", () => {
    expect(() => NameTemplate.parse(null as unknown as string)).toThrow(
      "A name template is a string, found null",
    );
  });

  test("lists its fields once", () => {
    expect(NameTemplate.parse("{epoch}-{loss}-{epoch:02d}").fields).toEqual(["epoch", "loss"]);
  });
});
