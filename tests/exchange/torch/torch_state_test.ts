import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "bun:test";
import { OpaqueValue } from "../../../src/exchange/opaque_value.ts";
import { ComplexNumber } from "../../../src/exchange/torch/pickle_values.ts";
import { readTorch, type TorchFile } from "../../../src/exchange/torch/read_torch.ts";
import type { TorchState } from "../../../src/exchange/torch/torch_state.ts";
import { bytesSource } from "../../../src/container/source.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { pythonWith, runPython } from "../python.ts";
import {
  bytes,
  call,
  checkpointOf,
  dict,
  global,
  integer,
  storage,
  tensor,
  text,
  tuple,
} from "../torch_files.ts";

const files = fileURLToPath(new URL("../files/", import.meta.url));
const WEIGHT = tensor(storage("0", 4), 0, [4], [1]);

type Fields = Record<string, TorchState>;

async function realFile(path: string): Promise<TorchFile> {
  return await readTorch(bytesSource(new Uint8Array(readFileSync(path))));
}

/** A checkpoint with this value beside a tensor. */
async function withValue(pickle: string): Promise<{ it: TorchState; file: TorchFile }> {
  const file = await readTorch(bytesSource(await checkpointOf(`${dict({ weight: WEIGHT, it: pickle })}.`)));
  // The tensor is read whatever is beside it.
  expect([...(await file.read("weight")).toArray()]).toEqual([1, 2, 3, 4]);
  return { it: (file.state as Fields)["it"] as TorchState, file };
}

/** What a placeholder says of itself. */
function nameOf(value: TorchState | undefined): string {
  if (value instanceof OpaqueValue) return value.name;
  throw new Error(`expected an OpaqueValue, found ${String(value)}`);
}

/** Everything in a file that make_torch_values.py wrote. */
async function checkRealValues(file: TorchFile): Promise<void> {
  const state = file.state as Record<string, Fields>;
  expect([...(await file.read("weight")).toArray()]).toEqual([0, 1, 2, 3, 4, 5]);
  const { ellipsis, ...plain } = state["plain"] as Fields;
  expect(nameOf(ellipsis)).toMatch(/Ellipsis$/);
  expect(plain as unknown).toEqual({
    empty_bytes: new Uint8Array(0),
    bytes: Uint8Array.of(0, 255),
    bytearray: Uint8Array.of(97, 98),
    empty_bytearray: new Uint8Array(0),
    counter: { a: 2, b: 1 },
    default: { a: [1] },
    ordered: { b: 1, a: 2 },
    deque: [0, 1, 2],
    frozen: new Set([1, "a"]),
    empty_frozen: new Set(),
    set: new Set([2]),
    empty_set: new Set(),
    complex: new ComplexNumber(1, -2),
    huge: 10n ** 40n,
    tuples: [[], [1], [1, 2, 3, 4]],
    surrogates: "\udcff",
  });
  checkNumPy(state["numpy"] as Fields);
  checkObjects(state["objects"] as Fields);
  const { size, dtype, device, layout, storage: aStorage } = state["torch"] as Fields;
  expect([size, dtype, device]).toEqual([[2, 3], "torch.bfloat16", "cuda:1"]);
  expect([nameOf(layout), nameOf(aStorage)]).toEqual(["torch.serialization._get_layout", "torch.storage"]);
  await checkTensors(file);
}

function checkNumPy(numpy: Fields): void {
  const arrays: [name: string, dtype: string, shape: number[], values: (number | bigint)[]][] = [
    ["array", "f32", [2, 3], [0, 1, 2, 3, 4, 5]],
    ["big", "i32", [3], [0, 1, 2]],
    ["fortran", "i16", [2, 3], [0, 1, 2, 3, 4, 5]],
    ["scalar_array", "u8", [], [5]],
    ["empty", "f64", [0, 3], []],
  ];
  for (const [name, dtype, shape, values] of arrays) {
    const array = numpy[name] as HostTensor;
    expect(array).toBeInstanceOf(HostTensor);
    expect([name, array.dtype, array.shape, [...array.toArray()]]).toEqual([name, dtype, shape, values]);
  }
  const { texts, byte_texts, f16, u64, flag, text: aText, byte_text, complex, dtype, big_dtype, random } =
    numpy;
  expect([texts, f16, u64, flag, aText]).toEqual([
    [["a", "bc"], ["größe", "😀"]],
    0.5,
    2n ** 64n - 1n,
    true,
    "größe",
  ]);
  expect([byte_texts, byte_text] as unknown).toEqual([
    [Uint8Array.of(97), Uint8Array.of(98, 99)],
    Uint8Array.of(97, 98),
  ]);
  expect(complex).toEqual(new ComplexNumber(1, 2));
  expect([dtype, big_dtype]).toEqual(["numpy.float32", "numpy.>u2"]);
  expect((random as TorchState[])[1]).toBeInstanceOf(HostTensor);
  for (
    const [name, what] of [["complexes", "numpy.complex128"], ["dates", "numpy.M8"], [
      "records",
      "numpy.V8",
    ]] as const
  ) {
    expect([nameOf(numpy[name]), (numpy[name] as OpaqueValue).args?.[0]]).toEqual(["numpy.ndarray", what]);
  }
  expect(nameOf(numpy["class"])).toBe("numpy.float32");
  expect(nameOf(numpy["masked"])).toMatch(/_mareconstruct$/);
}

function checkObjects(objects: Fields): void {
  const names: Record<string, string> = {
    date: "datetime.date",
    time: "datetime.datetime",
    delta: "datetime.timedelta",
    path: "pathlib.PurePosixPath",
    decimal: "decimal.Decimal",
    fraction: "fractions.Fraction",
    uuid: "uuid.UUID",
    namespace: "argparse.Namespace",
    simple: "types.SimpleNamespace",
    named: "__main__.Point",
    config: "__main__.Config",
    cell: "__main__.Cell",
    slotted: "__main__.Slotted",
    function: "posixpath.join",
    class: "__main__.Cell",
  };
  for (const [key, name] of Object.entries(names)) expect([key, nameOf(objects[key])]).toEqual([key, name]);
  expect((objects["decimal"] as OpaqueValue).args).toEqual(["1.5"]);
  expect((objects["class"] as OpaqueValue).args).toBeUndefined();
  expect((objects["simple"] as OpaqueValue).state).toEqual({ a: 1 });
  expect((objects["config"] as OpaqueValue).entries.get("a")).toBe(1);
  const cell = objects["cell"] as OpaqueValue;
  expect((cell.state as Fields)["me"]).toBe(cell as TorchState);
}

async function checkTensors(file: TorchFile): Promise<void> {
  const inside: Record<string, number[]> = {
    "numpy.objects.args.2.2": [9],
    "objects.namespace.state.weight": [5],
    "objects.named.args.1": [6],
    "objects.config.weight": [8],
    "objects.cell.state.value": [4],
    "objects.slotted.state.1.a": [7],
    "kinds.parameter": [0, 1, 2, 3, 4, 5],
    "kinds.tagged": [1, 2],
  };
  for (const [name, values] of Object.entries(inside)) {
    expect([name, ...(await file.read(name)).toArray()]).toEqual([name, ...values]);
  }
  expect((await file.read("torch.module.state._parameters.weight")).shape).toEqual([1, 2]);
  const reasons = {
    sparse: /sparse/,
    csr: /sparse/,
    quantized: /quantized/,
    meta: /meta/,
    complex: /complex64/,
  };
  for (const [name, reason] of Object.entries(reasons)) {
    const error = await thrownBy(() => file.read(`kinds.${name}`));
    expect([error.code, error.message]).toEqual(["unsupported", expect.stringMatching(reason)]);
  }
}

describe("plain values and objects beside tensors (files/make_torch_values.py)", () => {
  test("of PyTorch 1.13 and Python 3.11: plain data is data, the rest names itself, tensors are read", async () => {
    await checkRealValues(await realFile(join(files, "torch_values_1.13.pt")));
  });

  test("of the PyTorch that is installed", async () => {
    const python = pythonWith("torch", "numpy");
    if (python === undefined) return;
    const folder = mkdtempSync(join(tmpdir(), "cairn-torch-values-"));
    try {
      runPython(python, "-W", "ignore", join(files, "make_torch_values.py"), folder);
      const [name] = readdirSync(folder);
      await checkRealValues(await realFile(join(folder, name ?? "")));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, 60_000);
});

describe("plain values, as other protocols write them", () => {
  const dtype = (code: string): string =>
    `${call("numpy.dtype", text(code), "\x89", "\x88")}${
      tuple(integer(3), text("<"), "N", "N", "N", integer(-1), integer(-1), integer(0))
    }b`;
  const values: [string, string, unknown][] = [
    ["bytes of protocol 5", "\x8e\x02\0\0\0\0\0\0\0ab", Uint8Array.of(97, 98)],
    ["a bytearray of protocol 5", "\x96\x01\0\0\0\0\0\0\0a", Uint8Array.of(97)],
    ["a long text", "\x8d\x01\0\0\0\0\0\0\0a", "a"],
    ["a frozen set of protocol 4", "(K\x01K\x02\x91", new Set([1, 2])],
    ["a bytearray of bytes", call("builtins.bytearray", bytes("a")), Uint8Array.of(97)],
    ["bytes of a list", call("builtins.bytes", "](K\x07K\x08e"), Uint8Array.of(7, 8)],
    ["an ordered dict of pairs", call("collections.OrderedDict", `](](${text("a")}K\x01ee`), { a: 1 }],
    ["a dict with attributes", `${call("collections.OrderedDict")}${dict({ _metadata: "}" })}b`, {}],
    ["a value that was taken back", "K\x01K\x020", 1],
    ["a value that was taken back to a mark", "K\x01(K\x02K\x031", 1],
    ["a list that is filled twice", "]2K\x01a0", [1]],
    [
      "an array over a buffer",
      call(
        "numpy._core.numeric._frombuffer",
        bytes("\x01\0\x02\0"),
        dtype("u2"),
        tuple(integer(2)),
        text("C"),
      ),
      HostTensor.from([1, 2], [2], "u16"),
    ],
    [
      "a dtype of another package",
      call("numpy.dtype", global("ml_dtypes", "bfloat16")),
      "numpy.ml_dtypes.bfloat16",
    ],
  ];
  for (const [name, pickle, expected] of values) {
    test(`${name}`, async () => expect((await withValue(pickle)).it as unknown).toEqual(expected));
  }

  const bad: [string, string][] = [
    ["bytes of a text in another encoding", call("_codecs.encode", text("a"), text("utf-8"))],
    ["bytes of a number", call("builtins.bytes", integer(4_000_000))],
    ["bytes of numbers above 255", call("builtins.bytes", "](M\0\x01e")],
    ["bytes of letters above 255", call("_codecs.encode", text("€"), text("latin1"))],
    ["a set of a number", call("builtins.set", integer(1))],
    ["a counter of a text", call("collections.Counter", text("aab"))],
    ["an ordered dict of numbers", call("collections.OrderedDict", "](K\x01e")],
    ["a complex number of texts", call("builtins.complex", text("1"), text("2"))],
    ["a deque of a number", call("collections.deque", integer(1))],
    [
      "an array with a byte too few",
      call("numpy._core.numeric._frombuffer", bytes("\x01\0\x02"), dtype("u2"), tuple(integer(2)), text("C")),
    ],
    [
      "an array of more elements than can be counted",
      call(
        "numpy._core.numeric._frombuffer",
        bytes(""),
        dtype("u2"),
        tuple(...[1, 2].map(() => integer(2 ** 40))),
        text("C"),
      ),
    ],
    ["a device of a list", call("torch.device", "]")],
  ];
  for (const [name, pickle] of bad) {
    test(`${name}: refused as damage`, async () => {
      expect((await thrownBy(() => withValue(pickle))).code).toBe("invalid_file");
    });
  }
});

describe("what is not known", () => {
  test("names itself, whatever is done to it, and nothing is run", async () => {
    const system = call("os.system", text("touch /tmp/cairn-was-here"));
    const kinds: [string, string, Partial<OpaqueValue>][] = [
      ["called", system, { name: "os.system", args: ["touch /tmp/cairn-was-here"] }],
      ["only named", global("builtins", "eval"), { name: "builtins.eval", args: undefined }],
      ["by its names on the stack", `${text("os")}${text("system")}\x93`, { name: "os.system" }],
      ["made", `${global("a", "Net")}${tuple(integer(1))}\x81`, { name: "a.Net", args: [1] }],
      ["made with keywords", `${global("a", "Net")})${dict({ size: integer(3) })}\x92`, {
        name: "a.Net",
        args: [{ size: 3 }],
      }],
      ["given a state", `${call("a.Net")}${dict({ lr: integer(1) })}b`, { name: "a.Net", state: { lr: 1 } }],
      ["filled as a dict", `${call("a.Net")}(${text("a")}K\x01u`, { entries: new Map([["a", 1]]) }],
      ["filled item by item", `${call("a.Net")}${text("a")}K\x01s`, { entries: new Map([["a", 1]]) }],
      ["filled as a list", `${call("a.Net")}(K\x01K\x02e`, { items: [1, 2] }],
      ["filled one by one", `${call("a.Net")}K\x01a`, { items: [1] }],
      ["filled as a set", `${call("a.Net")}(K\x01\x90`, { items: [1] }],
    ];
    for (const [name, pickle, expected] of kinds) {
      const { it } = await withValue(pickle);
      expect([name, it instanceof OpaqueValue]).toEqual([name, true]);
      expect(it as unknown).toMatchObject(expected);
    }
  });

  test("what is called on it says so, and keeps what it was called on", async () => {
    const { it } = await withValue(`${call("functools.partial", global("a", "make"))}${tuple(WEIGHT)}R`);
    expect(nameOf(it)).toBe("functools.partial");
    expect((it as OpaqueValue).args?.map((arg) => arg instanceof OpaqueValue ? arg.name : "tensor")).toEqual([
      "functools.partial",
      "tensor",
    ]);
  });

  test("is looked through for tensors, each at a path that says where it is", async () => {
    const filled = `${call("a.Net", WEIGHT)}${dict({ w: WEIGHT })}b(${text("k")}${WEIGHT}u(${WEIGHT}e`;
    const { file } = await withValue(filled);
    expect(file.names()).toEqual(["weight", "it.args.0", "it.state.w", "it.0", "it.k"]);
    for (const name of file.names()) expect([...(await file.read(name)).toArray()]).toEqual([1, 2, 3, 4]);
  });

  test("may hold itself, and two may hold each other", async () => {
    const itself = `${call("a.Node")}q\x05${dict({ me: "h\x05", w: WEIGHT })}b`;
    expect((await withValue(itself)).file.names()).toEqual(["weight", "it.state.w"]);
    const pair = `${call("a.Node")}q\x05}(${text("other")}${call("b.Node")}${
      dict({ back: "h\x05", w: WEIGHT })
    }bub`;
    expect((await withValue(pair)).file.names()).toEqual(["weight", "it.state.other.state.w"]);
  });

  test("is refused by its name where there is nothing else", async () => {
    for (const pickle of [global("os", "system"), call("os.system", text("x")), call("a.Net")]) {
      const error = await thrownBy(async () =>
        await readTorch(bytesSource(await checkpointOf(`${pickle}.`)))
      );
      expect(error.code).toBe("unsupported");
      expect(error.message).toMatch(/"(os\.system|a\.Net)".*nothing was run/);
    }
    const whole = await readTorch(
      bytesSource(await checkpointOf(`${call("a.Net")}${dict({ w: WEIGHT })}b.`)),
    );
    expect(whole.names()).toEqual(["state.w"]);
  });

  test("a pickle of more than 64 MiB is not read", async () => {
    const pickle = new Uint8Array(64 * 1024 * 1024 + 1);
    const error = await thrownBy(async () => await readTorch(bytesSource(await checkpointOf(pickle))));
    expect([error.code, error.message]).toEqual([
      "limit_exceeded",
      "The pickle has 67108865 bytes; 67108864 is the most",
    ]);
  });
});
