import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "bun:test";
import { CairnError } from "../../../src/base/errors.ts";
import { readTorch, type TorchFile } from "../../../src/exchange/torch/read_torch.ts";
import { bytesSource } from "../../../src/container/source.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { pythonWith, runPython } from "../python.ts";
import {
  checkpointOf,
  entriesOf,
  global,
  integer,
  latin1,
  storage,
  tensor,
  text,
  tuple,
  zipOf,
} from "../torch_files.ts";

const files = fileURLToPath(new URL("../files/", import.meta.url));
/** As PyTorch calls them, by their name here. */
const TORCH_NAMES: Readonly<Record<string, string>> = {
  bool: "bool",
  u8: "uint8",
  i8: "int8",
  u16: "uint16",
  i16: "int16",
  i32: "int32",
  u64: "uint64",
  i64: "int64",
  f16: "float16",
  bf16: "bfloat16",
  f32: "float32",
  f64: "float64",
};

function realFile(path: string): Uint8Array {
  return new Uint8Array(readFileSync(path));
}

async function opened(bytes: Uint8Array): Promise<TorchFile> {
  return await readTorch(bytesSource(bytes));
}

/** Compares every tensor with what PyTorch itself said about it. */
async function compare(path: string): Promise<TorchFile> {
  const file = await opened(realFile(path));
  const expected = Object.entries(
    JSON.parse(readFileSync(path.replace(/pt$/, "json"), "utf8")) as Record<
      string,
      [string, number[], string]
    >,
  );
  expect(expected.length).toBeGreaterThan(30);
  for (const [name, [dtype, shape, hex]] of expected) {
    const found = await file.read(name);
    const bytes = [...found.bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    expect([name, TORCH_NAMES[found.dtype], found.shape, bytes]).toEqual([name, dtype, shape, hex]);
  }
  const listed = file.names().filter((name) => !/complex|float8/.test(name));
  expect(listed.sort()).toEqual(expected.map(([name]) => name).sort());
  return file;
}

describe("checkpoints of PyTorch (files/make_torch.py)", () => {
  for (const version of ["1.13", "2.13"]) {
    test(`every tensor of a file of ${version} is what PyTorch has, views and strides included`, async () => {
      const file = await compare(join(files, `torch_${version}.pt`));
      expect((await file.describe("tensors.tied.b")).aliasOf).toBe("tensors.tied.a");
      expect((await file.describe("tensors.base")).aliasOf).toBeUndefined();
      expect(await file.describe("tensors.complex")).toEqual({
        name: "tensors.complex",
        storedAs: "complex64",
        shape: [1],
        byteLength: 8,
      });
      const error = await thrownBy(() => file.read("tensors.complex"));
      expect([error.code, error.message]).toEqual([
        "unsupported",
        "Cairn has no tensors of PyTorch's dtype complex64",
      ]);
      await file.close();
      expect((await thrownBy(() => file.read("tensors.base"))).code).toBe("closed");
    });

    test(`the state of a file of ${version} comes out as plain values`, async () => {
      const { state } = await opened(realFile(join(files, `torch_${version}.pt`)));
      const { model: _model, tensors: _tensors, optimizer, ...rest } = state as Record<
        string,
        Record<string, unknown>
      >;
      expect(rest as unknown).toEqual({
        epoch: 3,
        none: null,
        large: [2 ** 31, -(2 ** 40), 2n ** 70n, -1, 255, 65536],
        floats: [0.1, NaN, -0],
        text: "größe 😀",
        best: 0.25,
        count: -5,
        size: [2, 3, 4],
        dtype: "torch.float16",
        device: "cpu",
        seen: new Set(["a"]),
        flags: [true, false],
        by_number: new Map([[0, "zero"], [1, "one"]]),
      });
      expect(optimizer?.["state"]).toBeInstanceOf(Map);
      expect((optimizer?.["param_groups"] as Record<string, unknown>[])[0]).toMatchObject({
        lr: 0.001,
        betas: [0.9, 0.999],
      });
    });
  }

  test("views of one storage share it", async () => {
    const { state } = await opened(realFile(join(files, "torch_2.13.pt")));
    const { tensors } = state as { tensors: Record<string, { storage: unknown }> };
    for (const name of ["transposed", "sliced", "offset"]) {
      expect(tensors[name]?.storage).toBe(tensors["base"]?.storage);
    }
    expect(tensors["wide"]?.storage).not.toBe(tensors["base"]?.storage);
  });

  test("whatever byte of the pickle is changed, nothing but a CairnError comes of it", async () => {
    const entries = await entriesOf(realFile(join(files, "torch_1.13.pt")));
    const pickle = entries["torch_1.13/data.pkl"] as Uint8Array;
    let state = 7;
    const random = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor(state / 2 ** 32 * below);
    };
    const outcomes: Record<string, number> = {};
    for (let round = 0; round < 1000; round++) {
      const changed = pickle.slice(0, random(20) === 0 ? random(pickle.byteLength) : undefined);
      for (let change = 0; change <= random(3); change++) changed[random(changed.byteLength)] = random(256);
      const outcome = await zipOf({ ...entries, "torch_1.13/data.pkl": changed })
        .then(opened).then((file) => `read ${file.names().length > 0}`)
        .catch((error) => error instanceof CairnError ? error.code : String(error));
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
    const allowed = ["read true", "read false", "unsupported", "invalid_file", "truncated"];
    expect(Object.keys(outcomes).filter((outcome) => !allowed.includes(outcome))).toEqual([]);
    expect(outcomes["read true"]).toBeGreaterThan(50);
    expect(outcomes["unsupported"]).toBeGreaterThan(50);
  });
});

describe("pickles that are more than data", () => {
  const names = [
    ["os", "system"],
    ["posix", "system"],
    ["builtins", "eval"],
    ["__builtin__", "exec"],
    ["builtins", "getattr"],
    ["subprocess", "Popen"],
    ["torch", "load"],
    ["torch.hub", "load"],
    ["torch._utils", "_rebuild_sparse_tensor"],
    ["torch", "constructor"],
    ["torch", "__proto__"],
    ["torch", "toString"],
    ["", "constructor"],
    ["collections", "OrderedDict.__class__"],
    ["numpy", "load"],
    ["__main__", "Net"],
    ["torch.nn.modules.linear", "Linear"],
  ] as const;
  for (const [module, name] of names) {
    test(`${module}.${name} is refused by name`, async () => {
      for (const pickle of [`${global(module, name)}.`, `${text(module)}${text(name)}\x93.`]) {
        const error = await thrownBy(async () => await opened(await checkpointOf(`\x80\x02${pickle}`)));
        expect(error.code).toBe("unsupported");
        expect(error.message).toContain(`"${module}.${name}"`);
        expect(error.message).toContain("nothing was run");
      }
    });
  }

  test("every instruction that is not on the list is refused by its code", async () => {
    const known = "\x80\x95N\x88\x89JKM\x8a\x8bGX\x8c\x8dBC\x8e\x96()t\x85\x86\x87]lae}su\x8f\x90\x91" +
      "qr\x94hjc\x93R\x81\x92bQ012.";
    for (let opcode = 0; opcode < 256; opcode++) {
      if (known.includes(String.fromCharCode(opcode))) continue;
      const error = await thrownBy(async () =>
        await opened(await checkpointOf(`\x80\x02${String.fromCharCode(opcode)}.`))
      );
      expect(error.code).toBe("unsupported");
      expect(error.message).toContain(`0x${opcode.toString(16).padStart(2, "0")} at byte 2`);
    }
  });

  const four = storage("0", 4);
  const list = "]q\x00";
  const bad: [name: string, code: string, message: RegExp, pickle: string][] = [
    ["no pickle", "truncated", /ends too early/, ""],
    ["no value", "invalid_file", /empty stack/, "."],
    ["two values", "invalid_file", /more than one value/, "NN."],
    ["a mark that is left", "invalid_file", /more than one value/, "(N."],
    ["bytes behind the end", "invalid_file", /followed by 1 bytes/, "N.N"],
    ["a text beyond the end", "truncated", /too early/, "X\xff\xff\xff\xff."],
    ["a text that is no UTF-8", "invalid_file", /not UTF-8/, "X\x01\x00\x00\x00\xff."],
    ["an integer of 2000 bytes", "invalid_file", /integer of 2000 bytes/, "\x8b\xd0\x07\x00\x00."],
    ["an integer of -1 bytes", "invalid_file", /integer of -1 bytes/, "\x8b\xff\xff\xff\xff."],
    ["protocol 1", "invalid_file", /protocol 1/, "\x80\x01N."],
    ["protocol 6", "invalid_file", /protocol 6/, "\x80\x06N."],
    ["a value that was never remembered", "invalid_file", /recalls 5/, "h\x05."],
    ["a tuple without a mark", "invalid_file", /no mark/, "t."],
    ["an append to a tuple", "invalid_file", /no list/, ")Na."],
    ["an item of a list", "invalid_file", /no dict/, "]NNs."],
    ["a key without a value", "invalid_file", /no dict/, "}(Nu."],
    ["a call of a number", "invalid_file", /no function/, "K\x01)R."],
    ["a call of a dtype", "invalid_file", /no function/, `${global("torch", "float32")})R.`],
    ["a call with a list", "invalid_file", /no function/, `${global("torch", "Size")}]R.`],
    ["a state for a list", "unsupported", /sets the state/, "]}b."],
    ["a state for a tensor", "unsupported", /sets the state/, `${tensor(four, 0, [4], [1])}}b.`],
    ["a function as a value", "unsupported", /holds torch\.Size/, `${global("torch", "Size")}.`],
    ["a storage without a tensor", "unsupported", /a storage/, `${four}.`],
    ["a list that contains itself", "unsupported", /contains itself/, `${list}h\x00a.`],
    ["600 lists in each other", "unsupported", /deeper than 500/, `${"]".repeat(600)}${"a".repeat(599)}.`],
    ["a persistent id that is no storage", "invalid_file", /no storage/, `${text("x")}Q.`],
    [
      "a storage that is not in the file",
      "invalid_file",
      /"9" has no bytes/,
      `${tensor(storage("9", 4), 0, [4], [1])}.`,
    ],
    [
      "a storage beside the folder",
      "invalid_file",
      /no bytes/,
      `${tensor(storage("../data.pkl", 4), 0, [4], [1])}.`,
    ],
    [
      "a storage that is longer",
      "invalid_file",
      /16 bytes in the file, expected 20/,
      `${tensor(storage("0", 5), 0, [4], [1])}.`,
    ],
    [
      "a storage of another type",
      "invalid_file",
      /expected 32/,
      `${tensor(storage("0", 4, "DoubleStorage"), 0, [4], [1])}.`,
    ],
    [
      "a tensor beyond its storage",
      "invalid_file",
      /element 5 of storage 0, which has 4/,
      `${tensor(four, 0, [5], [1])}.`,
    ],
    ["an offset beyond the storage", "invalid_file", /element 5/, `${tensor(four, 4, [1], [1])}.`],
    ["a stride beyond the storage", "invalid_file", /element 5/, `${tensor(four, 0, [2], [4])}.`],
    ["a negative offset", "invalid_file", /has the shape/, `${tensor(four, -1, [1], [1])}.`],
    ["a negative stride", "invalid_file", /strides \[-1\]/, `${tensor(four, 3, [4], [-1])}.`],
    ["a negative size", "invalid_file", /shape \[-4\]/, `${tensor(four, 0, [-4], [1])}.`],
    ["a stride too few", "invalid_file", /strides \[1\]/, `${tensor(four, 0, [2, 2], [1])}.`],
    [
      "a size that overflows",
      "invalid_file",
      /than can be counted/,
      `${tensor(four, 0, [2 ** 40, 2 ** 40], [0, 0])}.`,
    ],
    ["a stride that overflows", "invalid_file", /which has 4/, `${tensor(four, 0, [2 ** 40], [2 ** 40])}.`],
    ["a tensor of no storage", "invalid_file", /_rebuild_tensor/, `${tensor("N", 0, [4], [1])}.`],
    [
      "a number that NumPy does not have",
      "unsupported",
      /plain number/,
      `${global("numpy.core.multiarray", "scalar")}${tuple("N", "N")}R.`,
    ],
  ];
  for (const [name, code, message, pickle] of bad) {
    test(`${name}: refused with ${code}`, async () => {
      const error = await thrownBy(async () => await opened(await checkpointOf(pickle)));
      expect([error.name, error.code]).toEqual(["CairnError", code]);
      expect(error.message).toMatch(message);
    });
  }

  test("a tensor that repeats a few bytes without end is refused when it is read", async () => {
    const file = await opened(await checkpointOf(`${tensor(four, 0, [2 ** 40], [0])}.`));
    expect((await file.describe("tensor")).byteLength).toBe(2 ** 42);
    expect((await thrownBy(() => file.read("tensor"))).code).toBe("limit_exceeded");
  });

  test("lists that share lists stay small, and their paths are counted", async () => {
    let pickle = `${tensor(four, 0, [4], [1])}q\x00`;
    for (let i = 0; i < 60; i++) {
      pickle += `](h${String.fromCharCode(i)}h${String.fromCharCode(i)}eq${String.fromCharCode(i + 1)}`;
    }
    // What was pushed before is packed into one tuple with it.
    const file = await opened(await checkpointOf(`(${pickle}t.`));
    const error = await thrownBy(() => file.names());
    expect([error.code, error.message]).toEqual([
      "unsupported",
      "The checkpoint's state has more than 1000000 values",
    ]);
  });

  test("numbers of NumPy are numbers, in either byte order", async () => {
    for (const [order, bytes] of [["<", "\x03\x02"], [">", "\x02\x03"]] as const) {
      const dtype = `${global("numpy", "dtype")}${tuple(text("u2"), "\x89", "\x88")}R${
        tuple("K\x03", text(order))
      }b`;
      const value = `${global("numpy.core.multiarray", "scalar")}${tuple(dtype, `C\x02${bytes}`)}R`;
      expect((await opened(await checkpointOf(`${value}.`))).state).toBe(0x203);
    }
  });

  test("keys of any name are data", async () => {
    const pairs = ["__proto__", "constructor", "toString"].map((key) => text(key) + integer(1)).join("");
    const { state } = await opened(await checkpointOf(`}(${pairs}u.`));
    expect(state).toEqual(new Map([["__proto__", 1], ["constructor", 1], ["toString", 1]]));
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test("a file that is no zip checkpoint of PyTorch is refused with what to do", async () => {
    const big = await checkpointOf("N.", { "a/byteorder": latin1("big") });
    expect((await thrownBy(() => opened(big))).message).toMatch(/byte order is "big"/);
    const script = await checkpointOf("N.", { "a/constants.pkl": latin1("N.") });
    expect((await thrownBy(() => opened(script))).message).toMatch(/TorchScript/);
    expect((await thrownBy(() => opened(latin1("\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")))).message)
      .toMatch(/before 1\.6/);
    expect((await thrownBy(async () => await opened(await zipOf({ "a/b": latin1("N.") })))).code).toBe(
      "invalid_file",
    );
    const two = await checkpointOf("N.", { "b/data.pkl": latin1("N.") });
    expect((await thrownBy(() => opened(two))).message).toMatch(/2 files data\.pkl/);
    expect((await opened(await checkpointOf("N."))).state).toBeNull();
  });
});

test("PyTorch itself writes what is read here", async () => {
  const python = pythonWith("torch", "numpy");
  if (python === undefined) return;
  const folder = mkdtempSync(join(tmpdir(), "cairn-torch-"));
  try {
    runPython(python, join(files, "make_torch.py"), folder);
    const [name] = readdirSync(folder).filter((file) => file.endsWith(".pt"));
    await compare(join(folder, name ?? ""));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 600_000);
