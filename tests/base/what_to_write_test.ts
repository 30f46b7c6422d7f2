import { describe, expect, test } from "bun:test";
import * as cairn from "../helpers/all_doors.ts";
import type { DType } from "../../src/base/dtype.ts";
import { thrownBy } from "../helpers/thrown.ts";

const { ops } = cairn;
const as = (value: unknown): never => value as never;

async function messageOf(work: () => unknown): Promise<string> {
  const { name, message } = await thrownBy(work);
  return `${name}: ${message}`;
}

describe("a path that begins with ~", () => {
  const calls: [string, () => unknown][] = [
    ["autoSave", () => new cairn.AutoSaver({ savePath: "~/runs" })],
    ["FileEngine.open", () => cairn.FileEngine.open("~/runs")],
    ["FileStorage.open", () => cairn.FileStorage.open("~")],
    ["openStorage", () => cairn.openStorage("~ada/runs")],
    ["saveCheckpoint", () => cairn.saveCheckpoint("~/runs", { state: {} }, { tag: "a" })],
    ["getCheckpoint", () => cairn.getCheckpoint("~/runs")],
    ["openCheckpoint", () => cairn.openCheckpoint("~/runs/a.cairn")],
    ["a snapshot of one file", () => new cairn.Snapshot("~/runs/a")],
    ["warmStart", () => cairn.warmStart(as({}), "~/runs/a")],
    ["FileSource.open", () => cairn.FileSource.open("~/model.bin")],
  ];
  for (const [what, call] of calls) {
    test(`is refused with what to write: ${what}`, async () => {
      expect(await messageOf(call)).toMatch(
        /^TypeError: .*begins with "~", which the shell expands and Cairn does not/,
      );
    });
  }

  test("is accepted where ~ is a part of a name", async () => {
    expect(await messageOf(() => cairn.openCheckpoint("./~/a.cairn"))).not.toContain("shell");
    expect(await messageOf(() => cairn.openCheckpoint("~backup"))).not.toContain("shell");
  });
});

describe("a dtype by another system's name", () => {
  const wrong: [string, string][] = [
    ["float32", "f32"],
    ["float", "f32"],
    ["double", "f64"],
    ["half", "f16"],
    ["bfloat16", "bf16"],
    ["int32", "i32"],
    ["uint8", "u8"],
    ["int64", "i64"],
    ["torch.float32", "f32"],
    ["Float32Array", "f32"],
    ["F32", "f32"],
  ];
  for (const [name, dtype] of wrong) {
    test(`${name} is ${dtype}`, async () => {
      const expected = `TypeError: "${name}" is no dtype; write "${dtype}"`;
      for (
        const call of [
          () => cairn.HostTensor.from([1], [1], name as DType),
          () => cairn.HostTensor.fromBytes(new Uint8Array(4), name as DType, [1]),
          () => ops.input("x", name as DType, [1]),
          () => ops.parameter("x", name as DType, [1]),
          () => ops.constant(1, as(name)),
          () => ops.cast(ops.input("x", "f32", [1]), as(name)),
        ]
      ) expect(await messageOf(call)).toBe(expected);
    });
  }

  test("that no system has is refused with the list of dtypes", async () => {
    for (const name of ["complex64", "toString", 32, undefined]) {
      expect(await messageOf(() => ops.input("x", as(name), [1]))).toContain(
        "is no dtype; there is bool, u8",
      );
    }
  });
});

describe("a list of numbers with something else in it", () => {
  const wrong: [unknown, string][] = [
    [[1, null, 3], "Element 1 of the values is null"],
    [[1, 2, undefined], "Element 2 of the values is undefined"],
    [[[1, 2], [3, null]], "Element 3 of the values is null"],
    [[1, "2"], "Element 1 of the values is a string"],
    [null, "Element 0 of the values is null"],
    [[1, , 3], "Element 1 of the values is undefined"],
    [[{}], "Element 0 of the values is an object"],
    [[Promise.resolve(1)], "Element 0 of the values is a promise"],
  ];
  for (const [values, problem] of wrong) {
    test(`is refused with its index: ${problem}`, async () => {
      expect(await messageOf(() => cairn.HostTensor.from(as(values)))).toContain(
        `TypeError: ${problem}, expected a number`,
      );
      expect(await messageOf(() => cairn.HostTensor.from(as(values), undefined, "i32"))).toContain(problem);
    });
  }
});

describe("a promise that was not awaited", () => {
  const promise = (): never => as(Promise.resolve({}));
  const calls: [string, () => unknown][] = [
    ["a store of a trainer", () => new cairn.Trainer(promise(), as({}))],
    ["an engine of autoSave", () => new cairn.AutoSaver({ savePath: promise() })],
    ["an engine to save to", () => cairn.saveCheckpoint(promise(), { state: {} }, { tag: "a" })],
    ["an engine to look at", () => cairn.getCheckpoint(promise())],
    ["a store to save", () => cairn.saveCheckpoint("memory:x", { store: promise() }, { tag: "a" })],
    ["a store to load into", () => cairn.loadCheckpoint("memory:x", { store: promise() })],
    ["a store to warm", () => cairn.warmStart(promise(), "a")],
    ["an engine of a snapshot", () => new cairn.Snapshot(promise(), {})],
    ["an engine to decouple", () => new cairn.DecoupledEngine(promise())],
    ["an engine of a mirror", () => new cairn.MirrorEngine([promise()])],
    ["an engine of a tier", () => new cairn.TieredEngine([{ engine: promise() }])],
    ["a device of a store", () => cairn.TensorStore.on(promise())],
    ["values of a tensor", () => cairn.HostTensor.from(promise())],
    [
      "a tensor of a data set",
      () => cairn.DataLoader.from({ inputs: promise(), labels: promise() }, { batchSize: 1 }),
    ],
  ];
  for (const [what, call] of calls) {
    test(`is refused as a promise:  ${what}`, async () => {
      expect(await messageOf(call)).toMatch(/^TypeError: .* is a promise; await it first: await /);
    });
  }
});
