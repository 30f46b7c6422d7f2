import { describe, expect, test } from "bun:test";
import { NameSelection, renameBy } from "../../src/base/name_pattern.ts";

describe("renameBy", () => {
  test("a string without * is the whole name, and nothing in it is special", () => {
    expect(renameBy([{ from: "a.b", to: "c" }], "a.b")).toBe("c");
    expect(renameBy([{ from: "a.b", to: "c" }], "a.b.c")).toBe("a.b.c");
    expect(renameBy([{ from: "a.b", to: "c" }], "axb")).toBe("axb");
    expect(renameBy([{ from: "(a)[0]/$", to: "$1$&" }], "(a)[0]/$")).toBe("$1$&");
  });

  test("each * stands for what it stood for", () => {
    const rules = [{ from: "module.*", to: "model.*" }, { from: "*.gamma.*", to: "*.weight.*" }];
    expect(renameBy(rules, "module.0.weight")).toBe("model.0.weight");
    expect(renameBy(rules, "norm.gamma.$1")).toBe("norm.weight.$1");
    expect(renameBy([{ from: "a*b*", to: "x" }], "a1b2")).toBe("x");
    expect(() => renameBy([{ from: "a*", to: "*-*" }], "ab")).toThrow(
      'Cannot rename "a*" to "*-*", which has more * than that',
    );
  });

  test("an expression replaces what it matches, with $1 or a function, and is not changed by it", () => {
    const layer = /layer(\d+)/g;
    expect(renameBy([{ from: layer, to: "$1" }], "layer1.layer2")).toBe("1.2");
    expect(renameBy([{ from: layer, to: (_, n) => `${Number(n) + 1}` }], "layer1.w")).toBe("2.w");
    expect(renameBy([{ from: /^a/y, to: "b" }], "ab")).toBe("bb");
    expect(layer.lastIndex).toBe(0);
  });

  test("the first rule that matches is the only one", () => {
    const rules = [{ from: "a", to: "b" }, { from: "b", to: "c" }];
    expect(renameBy(rules, "a")).toBe("b");
    expect(renameBy(rules, "d")).toBe("d");
  });
});

describe("NameSelection", () => {
  test("has what only says, without what exclude says, and tells which patterns match nothing", () => {
    const selection = new NameSelection(["model.*", /bias$/, "optimiser.m"], ["*.0.*", "model.3"]);
    const names = ["model.0.weight", "model.1.weight", "other.bias", "other.weight"];
    expect(names.filter((name) => selection.has(name))).toEqual(["model.1.weight", "other.bias"]);
    expect(selection.unmatched()).toEqual(['only "optimiser.m"', 'exclude "model.3"']);
    expect(new NameSelection(undefined).has("anything")).toBe(true);
    expect(new NameSelection([]).has("anything")).toBe(false);
  });
});
