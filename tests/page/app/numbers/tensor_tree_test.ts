import { expect, test } from "bun:test";
import {
  type NamedTensor,
  searchTensors,
  tensorTree,
  type TreeModule,
} from "../../../../src/page/app/numbers/tensor_tree.ts";

const tensor = (name: string, shape: number[] = [2, 3], aliasOf?: string): NamedTensor => ({
  name,
  shape,
  byteLength: 4 * shape.reduce((product, size) => product * size, 1),
  ...(aliasOf === undefined ? {} : { aliasOf }),
});

/** The tree as indented lines. */
function drawn({ label, modules, tensors }: TreeModule<NamedTensor>, depth = 0): string[] {
  const indent = " ".repeat(depth);
  return [
    `${indent}${label}/`,
    ...modules.flatMap((module) => drawn(module, depth + 1)),
    ...tensors.map(({ name }) => `${indent} ${name}`),
  ];
}

test("names become a tree, in their order; a module with nothing but one module is joined with it", () => {
  const names = [
    "model.0.weight",
    "model.0.bias",
    "model.1.body.deep.weight",
    "optimizer.m.0.weight",
    "step",
  ];
  expect(drawn(tensorTree(names.map((name) => tensor(name))))).toEqual([
    "/",
    " model/",
    "  0/",
    "   model.0.weight",
    "   model.0.bias",
    "  1.body.deep/",
    "   model.1.body.deep.weight",
    " optimizer.m.0/",
    "  optimizer.m.0.weight",
    " step",
  ]);
});

test("a module counts what is in it at any depth, and an alias's bytes once", () => {
  const root = tensorTree([
    tensor("a.x"),
    tensor("a.b.y", [4]),
    tensor("a.z", [2, 3], "a.x"),
    tensor("c", []),
  ]);
  expect([root.tensorCount, root.elementCount, root.byteLength]).toEqual([4, 11, 44]);
  expect([root.modules[0]?.path, root.modules[0]?.tensorCount, root.modules[0]?.elementCount]).toEqual([
    "a",
    3,
    10,
  ]);
});

test("names that an object has anyway, and ones without sense, are names like any other", () => {
  const names = ["__proto__.constructor", "..", "", "a..b"];
  expect(tensorTree(names.map((name) => tensor(name))).tensorCount).toBe(4);
});

test("a search finds the tensors that have every word in their names, whatever the case", () => {
  const tensors = ["model.0.weight", "model.10.Weight", "model.0.bias"].map((name) => tensor(name));
  const found = (query: string): string[] => searchTensors(tensors, query).map(({ name }) => name);
  expect(found("weight 0")).toEqual(["model.0.weight", "model.10.Weight"]);
  expect(found("  ")).toHaveLength(3);
  expect(found("nothing")).toEqual([]);
});
