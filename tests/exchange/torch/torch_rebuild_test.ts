import { readFileSync } from "node:fs";
import { describe, expect, test } from "bun:test";
import { tensorsOfFile } from "../../../src/exchange/convert.ts";
import { readSafetensors } from "../../../src/exchange/safetensors/read_safetensors.ts";
import { readTorch, type TorchFile } from "../../../src/exchange/torch/read_torch.ts";
import { TorchTensor } from "../../../src/exchange/torch/torch_tensor.ts";
import { UnreadableTensor } from "../../../src/exchange/unreadable_tensor.ts";
import { writeSafetensors } from "../../../src/exchange/safetensors/write_safetensors.ts";
import { BytesSink, bytesSource } from "../../../src/container/source.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { call, checkpointOf, dict, global, integer, storage, tensor, text, tuple } from "../torch_files.ts";

const FLOATS = storage("0", 4);
const NO_HOOKS = `${global("collections", "OrderedDict")})R`;
const [NONE, TRUE, FALSE] = ["N", "\x88", "\x89"];
const SHAPE = tuple(integer(4));
const STRIDES = tuple(integer(1));
const PLAIN = tensor(FLOATS, 0, [4], [1]);

/** A checkpoint with this tensor beside a plain one. */
async function withTensor(pickle: string): Promise<TorchFile> {
  return await readTorch(bytesSource(await checkpointOf(`${dict({ plain: PLAIN, it: pickle })}.`)));
}

/** `_rebuild_tensor_v2` with these last arguments. */
function v2(...rest: string[]): string {
  return call("torch._utils._rebuild_tensor_v2", FLOATS, integer(0), SHAPE, STRIDES, ...rest);
}

function v3(...rest: string[]): string {
  return call("torch._utils._rebuild_tensor_v3", FLOATS, integer(0), SHAPE, STRIDES, ...rest);
}

async function valuesOf(pickle: string): Promise<unknown[]> {
  return [...(await (await withTensor(pickle)).read("it")).toArray()];
}

function caseFile(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../files/${name}`, import.meta.url)));
}

describe("the negative bit of a tensor", () => {
  test("changes the signs of what is read, and of nothing else in the storage", async () => {
    const file = await readTorch(bytesSource(caseFile("torch_negative_bit.pt")));
    for (let round = 0; round < 2; round++) {
      expect([...(await file.read("neg")).toArray()]).toEqual([-0, -1, -2, -3, -4, -5]);
      expect([...(await file.read("plain")).toArray()]).toEqual([0, 1, 2, 3, 4, 5]);
    }
    expect((await file.describe("neg")).aliasOf).toBeUndefined();
    expect((await file.read("neg")).shape).toEqual([2, 3]);
  });

  test("is kept by a conversion", async () => {
    const file = await readTorch(bytesSource(caseFile("torch_negative_bit.pt")));
    const sink = new BytesSink();
    await writeSafetensors(sink, await tensorsOfFile(file));
    const converted = await readSafetensors(bytesSource(sink.toBytes()));
    expect(converted.names()).toEqual(["neg", "plain"]);
    expect([...(await converted.read("neg")).toArray()]).toEqual([-0, -1, -2, -3, -4, -5]);
    expect([...(await converted.read("plain")).toArray()]).toEqual([0, 1, 2, 3, 4, 5]);
  });

  const neg = dict({ neg: TRUE });
  const kinds: [string, string][] = [
    ["in the third version of the function", v3(FALSE, NO_HOOKS, global("torch", "float32"), neg)],
    ["in a parameter", call("torch._utils._rebuild_parameter", v2(FALSE, NO_HOOKS, neg), TRUE, NO_HOOKS)],
    [
      "in a parameter with attributes",
      call("torch._utils._rebuild_parameter_with_state", v2(FALSE, NO_HOOKS, neg), TRUE, NO_HOOKS, "}"),
    ],
    [
      "in a tensor with attributes",
      call(
        "torch._tensor._rebuild_from_type_v2",
        global("torch._utils", "_rebuild_tensor_v2"),
        global("torch", "Tensor"),
        tuple(FLOATS, integer(0), SHAPE, STRIDES, FALSE, NO_HOOKS, neg),
        "}",
      ),
    ],
    ["beside the conjugate bit that is not set", v2(FALSE, NO_HOOKS, dict({ conj: FALSE, neg: TRUE }))],
  ];
  for (const [name, pickle] of kinds) {
    test(`${name}: the signs are changed`, async () => {
      expect(await valuesOf(pickle)).toEqual([-1, -2, -3, -4]);
    });
  }

  test("of a tensor of truth values is refused", async () => {
    const bools = call(
      "torch._utils._rebuild_tensor_v2",
      storage("0", 16, "BoolStorage"),
      ...[integer(0), SHAPE, STRIDES, FALSE, NO_HOOKS, neg],
    );
    expect((await thrownBy(async () => await (await withTensor(bools)).read("it"))).message).toMatch(
      /negative bit/,
    );
  });
});

describe("a storage that is named by two types", () => {
  test("is read by each tensor's own", async () => {
    const file = await readTorch(bytesSource(caseFile("torch_one_storage_two_types.pt")));
    const [floats, integers] = [await file.read("f"), await file.read("i")];
    expect([floats.dtype, integers.dtype]).toEqual(["f32", "i32"]);
    expect(floats.shape).toEqual([2, 3]);
    expect(integers.shape).toEqual([6]);
    expect(integers.bytes).toEqual(floats.bytes);
    expect((await file.describe("i")).aliasOf).toBeUndefined();
  });

  const types: [type: string, count: number, dtype: string, first: unknown][] = [
    ["LongStorage", 2, "i64", 0x40000000_3f800000n],
    ["ShortStorage", 8, "i16", 0],
    ["BFloat16Storage", 8, "bf16", 0],
    ["DoubleStorage", 2, "f64", 2.000000473111868],
    ["UntypedStorage", 16, "u8", 0],
  ];
  for (const [type, count, dtype, first] of types) {
    test(`as ${type} too, of another number of elements`, async () => {
      const file = await withTensor(tensor(storage("0", count, type), 0, [count], [1]));
      const found = await file.read("it");
      expect([found.dtype as string, found.toArray()[0] as unknown]).toEqual([dtype, first]);
      expect([...(await file.read("plain")).toArray()]).toEqual([1, 2, 3, 4]);
    });
  }

  test("and is as long in both, or refused", async () => {
    const error = await thrownBy(() => withTensor(tensor(storage("0", 4, "LongStorage"), 0, [4], [1])));
    expect([error.code, error.message]).toEqual([
      "invalid_file",
      'Storage "0" has 16 bytes in the file, expected 32',
    ]);
  });
});

describe("what PyTorch makes tensors with", () => {
  const honoured: [string, string, unknown[]][] = [
    ["the first version", call("torch._utils._rebuild_tensor", FLOATS, integer(0), SHAPE, STRIDES), [
      1,
      2,
      3,
      4,
    ]],
    ["no hooks at all", v2(FALSE, NONE), [1, 2, 3, 4]],
    ["no metadata", v2(FALSE, NO_HOOKS, NONE), [1, 2, 3, 4]],
    ["a dtype other than the storage's", v3(FALSE, NO_HOOKS, global("torch", "int32")), [
      0x3f800000,
      0x40000000,
      0x40400000,
      0x40800000,
    ]],
    [
      "a copy of a device's tensor",
      call(
        "torch._utils._rebuild_device_tensor_from_cpu_tensor",
        PLAIN,
        global("torch", "float32"),
        text("hpu:0"),
        FALSE,
      ),
      [1, 2, 3, 4],
    ],
  ];
  for (const [name, pickle, values] of honoured) {
    test(`with ${name}: read`, async () => expect(await valuesOf(pickle)).toEqual(values));
  }

  test("a parameter says that it wants a gradient, and what was set on it", async () => {
    const attributes = dict({ is_norm: TRUE, scale: PLAIN });
    for (
      const pickle of [
        call("torch._utils._rebuild_parameter_with_state", PLAIN, TRUE, NO_HOOKS, attributes),
        call(
          "torch._tensor._rebuild_from_type_v2",
          global("torch._utils", "_rebuild_parameter"),
          global("torch.nn.parameter", "Parameter"),
          tuple(PLAIN, TRUE, NO_HOOKS),
          attributes,
        ),
      ]
    ) {
      const { it } = (await withTensor(pickle)).state as { it: TorchTensor };
      expect([it.requiresGrad, it.shape]).toEqual([true, [4]]);
      expect(it.attributes).toMatchObject({ is_norm: true, scale: { shape: [4] } });
    }
  });

  const ofUtils = (name: string): string => `torch._utils.${name}`;
  const refused: [reason: RegExp, storedAs: string, shape: number[], pickle: string][] = [
    [/conjugate bit/, "float32", [4], v2(FALSE, NO_HOOKS, dict({ conj: TRUE }))],
    [/property backend_meta/, "float32", [4], v2(FALSE, NO_HOOKS, dict({ backend_meta: "}" }))],
    [/property neg/, "float32", [4], v2(FALSE, NO_HOOKS, dict({ neg: integer(1) }))],
    [/hooks, which are code/, "float32", [4], v2(FALSE, dict({ hook: global("os", "system") }))],
    [
      /hooks, which are code/,
      "float32",
      [4],
      call(ofUtils("_rebuild_parameter"), PLAIN, TRUE, dict({ 0: global("os", "system") })),
    ],
    [
      /quantized/,
      "qint8",
      [4],
      call(
        ofUtils("_rebuild_qtensor"),
        ...[storage("0", 16, "QInt8Storage"), integer(0), SHAPE, STRIDES, tuple(), FALSE, NO_HOOKS],
      ),
    ],
    [/quantized/, "quint8", [4], tensor(storage("0", 16, "QUInt8Storage"), 0, [4], [1])],
    [
      /sparse/,
      "float32",
      [5, 7],
      call(ofUtils("_rebuild_sparse_tensor"), NONE, tuple(PLAIN, PLAIN, tuple(integer(5), integer(7)))),
    ],
    [
      /sparse/,
      "float32",
      [2, 2],
      call(
        ofUtils("_rebuild_sparse_csr_tensor"),
        NONE,
        tuple(PLAIN, PLAIN, PLAIN, tuple(integer(2), integer(2))),
      ),
    ],
    [
      /no elements/,
      "float16",
      [4],
      call(ofUtils("_rebuild_meta_tensor_no_storage"), global("torch", "float16"), SHAPE, STRIDES, FALSE),
    ],
    [/nested/, "float32", [], call(ofUtils("_rebuild_nested_tensor"), PLAIN, PLAIN, PLAIN, PLAIN)],
    [
      /DTensor/,
      "float32",
      [4],
      call(
        ofUtils("_rebuild_wrapper_subclass"),
        ...[global("torch.distributed", "DTensor"), global("torch", "float32"), SHAPE, STRIDES, integer(0)],
      ),
    ],
    [
      /NumPy/,
      "float32",
      [],
      call(
        ofUtils("_rebuild_device_tensor_from_numpy"),
        NONE,
        global("torch", "float32"),
        text("xla:0"),
        FALSE,
      ),
    ],
    [
      /saved as float32/,
      "bfloat16",
      [4],
      call(
        ofUtils("_rebuild_device_tensor_from_cpu_tensor"),
        ...[PLAIN, global("torch", "bfloat16"), text("hpu"), FALSE],
      ),
    ],
    [/of its own/, "unknown", [], call(ofUtils("_rebuild_tensor_v9"), PLAIN)],
    [
      /torchvision\.Image/,
      "float32",
      [4],
      call(
        "torch._tensor._rebuild_from_type_v2",
        global("torch._utils", "_rebuild_tensor_v2"),
        global("torchvision", "Image"),
        tuple(FLOATS, integer(0), SHAPE, STRIDES, FALSE, NO_HOOKS),
        "}",
      ),
    ],
    [
      /made by os\.system/,
      "unknown",
      [],
      call(
        "torch._tensor._rebuild_from_type_v2",
        global("os", "system"),
        global("torch", "Tensor"),
        tuple(),
        "}",
      ),
    ],
  ];
  for (const [reason, storedAs, shape, pickle] of refused) {
    test(`what is ${reason.source}: listed, refused by name, and the others are read`, async () => {
      const file = await withTensor(pickle);
      expect([...file.names()].sort()).toContain("it");
      expect(await file.describe("it")).toMatchObject({ name: "it", storedAs, shape });
      expect((await file.describe("it")).dtype).toBeUndefined();
      const error = await thrownBy(() => file.read("it"));
      expect([error.name, error.code]).toEqual(["CairnError", "unsupported"]);
      expect(error.message).toMatch(reason);
      expect((file.state as { it: unknown }).it).toBeInstanceOf(UnreadableTensor);
      expect([...(await file.read("plain")).toArray()]).toEqual([1, 2, 3, 4]);
      // A copy does not leave it out silently.
      expect((await thrownBy(() => tensorsOfFile(file))).message).toMatch(/"it"/);
    });
  }

  const bad: [string, string][] = [
    ["an argument too few", v2(FALSE)],
    ["an argument too many", v2(FALSE, NO_HOOKS, NONE, NONE)],
    [
      "an argument too many of the first version",
      call(ofUtils("_rebuild_tensor"), FLOATS, integer(0), SHAPE, STRIDES, NONE),
    ],
    ["metadata that is a list", v2(FALSE, NO_HOOKS, "]")],
    ["hooks that are a number", v2(FALSE, integer(1))],
    ["a gradient that is a number", v2(integer(1), NO_HOOKS)],
    ["a dtype that is a text", v3(FALSE, NO_HOOKS, text("float32"))],
    ["a parameter of a number", call(ofUtils("_rebuild_parameter"), integer(1), TRUE, NO_HOOKS)],
    [
      "a parameter with an argument too many",
      call(ofUtils("_rebuild_parameter"), PLAIN, TRUE, NO_HOOKS, NONE),
    ],
  ];
  for (const [name, pickle] of bad) {
    test(`${name}: refused as damage`, async () => {
      const error = await thrownBy(() => withTensor(pickle));
      expect(error.code).toBe("invalid_file");
      expect(error.message).toMatch(/torch\._utils\._rebuild_\w+ with arguments that it does not take/);
    });
  }
});

describe("the fields of a storage's id", () => {
  const id = (...fields: string[]): string => tensor(`${tuple(...fields)}Q`, 0, [4], [1]);
  const ofClass = global("torch", "FloatStorage");
  const refused: [string, string, RegExp, string][] = [
    [
      "a view of another storage",
      "unsupported",
      /"0" is a view/,
      id(
        text("storage"),
        ofClass,
        text("0"),
        text("cpu"),
        integer(4),
        tuple(text("1"), integer(0), integer(4)),
      ),
    ],
    ["no length", "invalid_file", /no storage/, id(text("storage"), ofClass, text("0"), text("cpu"))],
    [
      "a place that is a number",
      "invalid_file",
      /no storage/,
      id(text("storage"), ofClass, text("0"), integer(1), integer(4)),
    ],
    [
      "a key that is a number",
      "invalid_file",
      /no storage/,
      id(text("storage"), ofClass, integer(0), text("cpu"), integer(4)),
    ],
    [
      "a class that is not known",
      "invalid_file",
      /"torch.TensorStorage"/,
      id(text("storage"), global("torch", "TensorStorage"), text("0"), text("cpu"), integer(4)),
    ],
    [
      "a dtype for a class",
      "invalid_file",
      /no storage/,
      id(text("storage"), global("torch", "float32"), text("0"), text("cpu"), integer(4)),
    ],
    [
      "a module",
      "invalid_file",
      /no storage: "a.Net"/,
      `${tuple(text("module"), global("a", "Net"), NONE, NONE)}Q`,
    ],
  ];
  for (const [name, code, message, pickle] of refused) {
    test(`${name}: refused`, async () => {
      const error = await thrownBy(() => withTensor(pickle));
      expect(error.code).toBe(code);
      expect(error.message).toMatch(message);
    });
  }

  test("wherever a storage was, it is read into memory", async () => {
    for (const place of ["cuda:1", "mps", "meta", ""]) {
      expect(await valuesOf(id(text("storage"), ofClass, text("0"), text(place), integer(4)))).toEqual([
        1,
        2,
        3,
        4,
      ]);
    }
  });
});
