import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import { type DType, DTYPES } from "../../../src/base/dtype.ts";
import { encodeNpyHeader } from "../../../src/checkpoint/exchange/npy_header.ts";
import { readNpy, writeNpy } from "../../../src/checkpoint/exchange/npy.ts";
import { readNpz, writeNpz } from "../../../src/checkpoint/exchange/npz.ts";
import { BytesSink, bytesSource } from "../../../src/container/source.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { pythonWith, runPython } from "./python.ts";

function realFile(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`./files/${name}`, import.meta.url)));
}

async function npyBytes(tensor: HostTensor): Promise<Uint8Array> {
  const sink = new BytesSink();
  await writeNpy(sink, tensor);
  return sink.toBytes();
}

async function npzBytes(
  ...args: [Parameters<typeof writeNpz>[1], Parameters<typeof writeNpz>[2]?]
): Promise<Uint8Array> {
  const sink = new BytesSink();
  const report = await writeNpz(sink, ...args);
  expect(report.fileBytes).toBe(sink.toBytes().byteLength);
  return sink.toBytes();
}

/** A `.npy` file with this text for a header. */
function npyOf(header: string, data: number | Uint8Array = 0, version = 1): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = typeof data === "number" ? new Uint8Array(data) : data;
  const start = version === 1 ? 10 : 12;
  const file = new Uint8Array(start + text.byteLength + bytes.byteLength);
  file.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0]);
  const view = new DataView(file.buffer);
  if (version === 1) view.setUint16(8, text.byteLength, true);
  else view.setUint32(8, text.byteLength, true);
  file.set(text, start);
  file.set(bytes, start + text.byteLength);
  return file;
}

/** A tensor of every dtype that NumPy has too, with bytes that are all different. */
function everyDType(): Record<string, HostTensor> {
  const dtypes = (Object.keys(DTYPES) as DType[]).filter((dtype) => dtype !== "bf16");
  return Object.fromEntries(dtypes.map((dtype, i) => {
    const bytes = Uint8Array.from(
      { length: 6 * DTYPES[dtype].byteSize },
      (_, at) => dtype === "bool" ? at & 1 : (at * 37 + i) & 127,
    );
    return [`of.${dtype}`, HostTensor.fromBytes(bytes, dtype, [2, 3])];
  }));
}

describe("npy files", () => {
  test("every dtype and shape goes both ways, bit by bit", async () => {
    const tensors = [
      ...Object.values(everyDType()),
      HostTensor.from(7, []),
      HostTensor.from([1, 2, 3]),
      HostTensor.from([], [0, 4], "f32"),
      HostTensor.from([5], [1, 1, 1, 1, 1, 1, 1, 1], "f32"),
    ];
    for (const tensor of tensors) {
      const back = await readNpy(bytesSource(await npyBytes(tensor)));
      expect(back.equals(tensor)).toBe(true);
    }
  });

  test("a header is NumPy's own, padded so that elements start at a multiple of 64", () => {
    const header = encodeNpyHeader("f32", [3]);
    expect([...header.subarray(0, 10)]).toEqual([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 118, 0]);
    expect(new TextDecoder().decode(header.subarray(10))).toMatch(
      /^\{'descr': '<f4', 'fortran_order': False, 'shape': \(3,\), \} +\n$/,
    );
    for (const shape of [[], [3], [2, 3], [1_000_000_000, 1_000, 1, 1, 1, 1, 1, 1]]) {
      expect(encodeNpyHeader("u8", shape).byteLength % 64).toBe(0);
    }
  });

  test("bf16, which NumPy does not have, is widened to f32 exactly", async () => {
    const tensor = HostTensor.from([1.5, -2, NaN, Infinity, 1e-40], [5], "bf16");
    const back = await readNpy(bytesSource(await npyBytes(tensor)));
    expect(back.dtype).toBe("f32");
    expect([...back.toArray()]).toEqual([...tensor.toArray()]);
    const pieces = (): Uint8Array[] => [
      tensor.bytes.subarray(0, 3),
      tensor.bytes.subarray(3, 4),
      tensor.bytes.subarray(4),
    ];
    const zip = await npzBytes([{ name: "a", dtype: "bf16", shape: [5], pieces }]);
    expect((await (await readNpz(bytesSource(zip))).read("a")).equals(back)).toBe(true);
  });

  test("big-endian elements are turned round, and Fortran order becomes row-major", async () => {
    const bytes = Uint8Array.of(0, 1, 0, 4, 0, 2, 0, 5, 0, 3, 1, 6);
    const file = npyOf("{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }", bytes);
    const tensor = await readNpy(bytesSource(file));
    expect(tensor.shape).toEqual([2, 3]);
    expect([...tensor.toArray()]).toEqual([1, 2, 3, 4, 5, 262]);
  });

  const good = "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }";

  test("a header may use double quotes, other spacing, another order, and Python 2's long integers", async () => {
    const headers = [
      good,
      `{"shape":(2,),"descr":"|u1","fortran_order":False}\n`,
      "{ 'fortran_order' : False , 'descr' : '|u1' , 'shape' : ( 2L , ) , }   \n",
      "{'descr': '|u1', 'fortran_order': True, 'shape': (2,)}",
    ];
    for (const header of headers) {
      expect([...(await readNpy(bytesSource(npyOf(header, Uint8Array.of(8, 9))))).bytes]).toEqual([8, 9]);
    }
    for (const version of [2, 3]) {
      expect((await readNpy(bytesSource(npyOf(good, 2, version)))).shape).toEqual([2]);
    }
  });

  const bad: [name: string, code: string, message: RegExp, bytes: Uint8Array][] = [
    ["an empty file", "truncated", /has 0 bytes/, new Uint8Array(0)],
    ["another magic", "invalid_file", /NUMPY/, npyOf(good, 2).fill(0, 0, 1)],
    ["version 4", "unsupported", /version is 4\.0/, npyOf(good, 2, 4)],
    ["version 0", "unsupported", /version is 0\.0/, npyOf(good, 2, 0)],
    ["a header beyond the end", "truncated", /file ends before/, npyOf(good).subarray(0, 30)],
    ["a huge header", "limit_exceeded", /65536 is the most/, npyOf(" ".repeat(65_537), 0, 2)],
    ["no header", "invalid_file", /not understood at character 0/, npyOf("")],
    ["a call", "invalid_file", /not understood/, npyOf(good.replace("False", "__import__('os')"), 2)],
    ["an expression", "invalid_file", /not understood/, npyOf(good.replace("(2,)", "(1+1,)"), 2)],
    ["text behind the header", "invalid_file", /not understood/, npyOf(`${good} x`, 2)],
    ["a field twice", "invalid_file", /not understood/, npyOf(good.replace("{", "{'shape': (2,), "), 2)],
    ["a field too many", "invalid_file", /nothing else/, npyOf(good.replace("{", "{'strides': (2,), "), 2)],
    ["a field too few", "invalid_file", /has to have descr/, npyOf("{'descr': '|u1', 'shape': (2,)}", 2)],
    ["a shape that is a number", "invalid_file", /not understood/, npyOf(good.replace("(2,)", "(2)"), 2)],
    ["a negative size", "invalid_file", /not understood/, npyOf(good.replace("(2,)", "(-2,)"), 2)],
    ["a fraction for a size", "invalid_file", /not understood/, npyOf(good.replace("(2,)", "(2.0,)"), 2)],
    [
      "a size above 2^53",
      "invalid_file",
      /not understood/,
      npyOf(good.replace("(2,)", "(9007199254740993,)"), 2),
    ],
    [
      "sizes that overflow",
      "invalid_file",
      /too many elements/,
      npyOf(good.replace("(2,)", "(4294967296, 4294967296)"), 2),
    ],
    [
      "sizes that overflow beside a 0",
      "invalid_file",
      /too many/,
      npyOf(good.replace("(2,)", "(0, 4294967296, 4294967296)")),
    ],
    ["a byte too few", "truncated", /has 1 bytes for \|u1 \[2\], expected 2/, npyOf(good, 1)],
    ["a byte too many", "invalid_file", /has 3 bytes/, npyOf(good, 3)],
    [
      "nine dimensions",
      "unsupported",
      /9 dimensions/,
      npyOf(good.replace("(2,)", `(${"1, ".repeat(9)})`), 1),
    ],
    ["an unknown dtype", "unsupported", /a dtype <c8/, npyOf(good.replace("|u1", "<c8"), 16)],
    ["two bytes without an order", "unsupported", /a dtype \|u2/, npyOf(good.replace("|u1", "|u2"), 4)],
    ["a dtype of another kind", "unsupported", /"<M8\[ns\]"/, npyOf(good.replace("|u1", "<M8[ns]"), 16)],
    [
      "the dtype constructor",
      "unsupported",
      /not understood/,
      npyOf(good.replace("|u1", "|constructor"), 16),
    ],
    ["a bf16 of ml_dtypes", "unsupported", /save it as float32/, npyOf(good.replace("|u1", "<V2"), 4)],
    ["Python objects", "unsupported", /runs no pickle/, realFile("object.npy")],
    ["records", "unsupported", /records/, realFile("record.npy")],
  ];
  for (const [name, code, message, bytes] of bad) {
    test(`${name}: refused with ${code}`, async () => {
      const error = await thrownBy(() => readNpy(bytesSource(bytes)));
      expect([error.name, error.code]).toEqual(["CairnError", code]);
      expect(error.message).toMatch(message);
    });
  }
});

describe("npz files", () => {
  for (const compress of [false, true]) {
    test(`many tensors and any name go both ways, ${compress ? "deflated" : "stored"}`, async () => {
      const tensors = {
        ...everyDType(),
        "": HostTensor.from([1]),
        "a/b": HostTensor.from([2]),
        "größe 😀": HostTensor.from(new Float32Array(5000)),
      };
      const bytes = await npzBytes(tensors, { compress });
      const file = await readNpz(bytesSource(bytes));
      expect(file.names()).toEqual(Object.keys(tensors));
      for (const [name, tensor] of Object.entries(tensors)) {
        expect((await file.read(name)).equals(tensor)).toBe(true);
        expect(await file.describe(name)).toMatchObject({
          name,
          dtype: tensor.dtype,
          shape: tensor.shape,
          byteLength: tensor.bytes.byteLength,
        });
      }
      expect(bytes.byteLength < 20_000).toBe(compress);
    });
  }

  test("the same tensors give the same bytes, and shared ones are there under each name", async () => {
    const shared = HostTensor.from([1, 2]);
    const bytes = await npzBytes({ a: shared, b: shared });
    expect(await npzBytes({ a: shared, b: shared })).toEqual(bytes);
    const file = await readNpz(bytesSource(bytes));
    expect((await file.read("a")).equals(await file.read("b"))).toBe(true);
    expect((await thrownBy(() => file.read("c"))).code).toBe("not_found");
    await file.close();
    expect((await thrownBy(() => file.read("a"))).code).toBe("closed");
  });

  test("every single flipped bit of an array's bytes is noticed", async () => {
    const bytes = await npzBytes({ a: HostTensor.from([1, 2, 3]) });
    for (let bit = 8 * 35; bit < 8 * (35 + 128 + 12); bit++) {
      const damaged = bytes.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      const error = await thrownBy(async () => await (await readNpz(bytesSource(damaged))).read("a"));
      expect(error.code).toBe("checksum_mismatch");
    }
  });
});

describe("files of NumPy (files/make_numpy.py)", () => {
  test("arrays of every kind are read", async () => {
    const file = await readNpz(bytesSource(realFile("numpy.npz")));
    const values = async (name: string): Promise<unknown[]> => [...(await file.read(name)).toArray()];
    const counting = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
    expect(await values("bool")).toEqual([1, 0]);
    expect(await values("u64")).toEqual([2n ** 64n - 1n]);
    expect(await values("i64")).toEqual([-4n]);
    expect((await file.read("i64")).shape).toEqual([]);
    expect(await values("f16")).toEqual([0.5, Infinity]);
    for (const name of ["f32", "big", "fortran.i16", "big.fortran"]) {
      expect((await file.read(name)).shape).toEqual([2, 3]);
      expect(await values(name)).toEqual(counting(6));
    }
    for (const name of ["f64", "fortran"]) expect(await values(name)).toEqual(counting(24));
    expect((await file.read("empty")).shape).toEqual([0, 3]);
    expect(await values("gewicht.größe")).toEqual([1.5]);
    for (const name of ["text", "complex"]) {
      expect((await thrownBy(() => file.read(name))).code).toBe("unsupported");
    }
    expect(await file.describe("text")).toEqual({
      name: "text",
      storedAs: "<U2",
      shape: [2],
      byteLength: 16,
    });
  });

  test("a checksum in front of an array has to be the one in the directory", async () => {
    const bytes = realFile("numpy.npz");
    bytes[14] = (bytes[14] as number) ^ 1;
    const error = await thrownBy(async () => await (await readNpz(bytesSource(bytes))).read("bool"));
    expect([error.code, /where the directory has/.test(error.message)]).toEqual(["invalid_file", true]);
  });

  test("compressed arrays and all three versions of the header are read", async () => {
    const file = await readNpz(bytesSource(realFile("numpy_compressed.npz")));
    expect((await file.read("zeros")).bytes.every((byte) => byte === 0)).toBe(true);
    for (const version of [1, 2, 3]) {
      const tensor = await readNpy(bytesSource(realFile(`version_${version}.npy`)));
      expect(tensor.equals(await file.read("f32"))).toBe(true);
    }
  });
});

/** Prints what NumPy finds in an npz, and saves the same arrays again, changed in layout only. */
const PROGRAM = `
import sys, numpy as np
found = np.load(sys.argv[1])
for name in found.files:
    a = found[name]
    print(name, a.dtype.str, a.shape, a.tobytes().hex())
again = {n: np.array(found[n], found[n].dtype.newbyteorder(">"), order="F") for n in found.files}
np.savez_compressed(sys.argv[2], **again)
`;

test("NumPy itself reads what is written here, and what it then writes is read back", async () => {
  const python = pythonWith("numpy");
  if (python === undefined) return;
  const folder = mkdtempSync(join(tmpdir(), "cairn-numpy-"));
  try {
    const tensors = {
      ...everyDType(),
      scalar: HostTensor.from(7, []),
      "größe": HostTensor.from([], [0, 2], "f32"),
    };
    for (const compress of [false, true]) {
      const [there, back] = [join(folder, "there.npz"), join(folder, "back.npz")];
      writeFileSync(there, await npzBytes(tensors, { compress }));
      const lines = runPython(python, "-c", PROGRAM, there, back).trim().split("\n");
      expect(lines).toEqual(
        Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
          const descr = /'descr': '(.*?)'/.exec(
            new TextDecoder("latin1").decode(encodeNpyHeader(dtype, shape)),
          )?.[1];
          const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
          return `${name} ${descr} (${sizes}) ${
            [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")
          }`.trim();
        }),
      );
      const file = await readNpz(bytesSource(new Uint8Array(readFileSync(back))));
      for (const [name, tensor] of Object.entries(tensors)) {
        expect((await file.read(name)).equals(tensor)).toBe(true);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
