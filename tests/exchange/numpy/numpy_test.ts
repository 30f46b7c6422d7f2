import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import { type DType, DTYPES } from "../../../src/base/dtype.ts";
import { encodeNpyHeader } from "../../../src/exchange/numpy/npy_header.ts";
import { readNpy, writeNpy } from "../../../src/exchange/numpy/npy.ts";
import { readNpz, writeNpz } from "../../../src/exchange/numpy/npz.ts";
import { BytesSink, bytesSource } from "../../../src/container/source.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { crc32 } from "../../../src/base/crc32/crc32.ts";
import { deflateRaw } from "../../../src/exchange/zip/zip_deflate.ts";
import { ZipWriter } from "../../../src/exchange/zip/zip_writer.ts";
import { pythonWith, runPython } from "../python.ts";
import { zipOf } from "../torch_files.ts";

function realFile(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../files/${name}`, import.meta.url)));
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

describe("descr", () => {
  /** What NumPy makes of each, by `numpy.dtype`; those that are numbers are read. */
  const read: Record<string, [dtype: DType, isBigEndian?: boolean]> = {
    "<u1": ["u8"],
    ">u1": ["u8"],
    "=u1": ["u8"],
    "u1": ["u8"],
    "<i1": ["i8"],
    ">i1": ["i8"],
    "<b1": ["bool"],
    ">b1": ["bool"],
    "|?": ["bool"],
    "?": ["bool"],
    "bool": ["bool"],
    "b": ["i8"],
    "B": ["u8"],
    "=f4": ["f32"],
    "f4": ["f32"],
    "|f4": ["f32"],
    ">f4": ["f32", true],
    "f": ["f32"],
    ">f": ["f32", true],
    "float32": ["f32"],
    "single": ["f32"],
    "|u2": ["u16"],
    ">H": ["u16", true],
    "e": ["f16"],
    "half": ["f16"],
    "d": ["f64"],
    ">d": ["f64", true],
    "float": ["f64"],
    "l": ["i64"],
    "=q": ["i64"],
    "<Q": ["u64"],
    "int": ["i64"],
    "intc": ["i32"],
    "uint16": ["u16"],
  };
  for (const [descr, [dtype, isBigEndian = false]] of Object.entries(read)) {
    test(`'${descr}' is ${isBigEndian ? "big-endian " : ""}${dtype}`, async () => {
      const { byteSize } = DTYPES[dtype];
      const bytes = Uint8Array.from({ length: 2 * byteSize }, (_, i) => dtype === "bool" ? i & 1 : i + 1);
      const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (2,), }`;
      const found = await readNpy(bytesSource(npyOf(header, bytes)));
      const expected = bytes.slice();
      if (isBigEndian) { for (const at of [0, byteSize]) expected.subarray(at, at + byteSize).reverse(); }
      expect([found.dtype, found.bytes]).toEqual([dtype, expected]);
    });
  }

  const unsupported: [descr: string, message: RegExp, header?: string][] = [
    ["<M8[ns]", /the dtype "<M8\[ns\]"/],
    ["<m8", /a dtype <m8/],
    ["<U3", /a dtype <U3/],
    ["|S5", /a dtype \|S5/],
    ["<c16", /a dtype <c16/],
    ["F", /a dtype F/],
    ["g", /a dtype g/],
    ["<f16", /a dtype <f16/],
    ["f4,i4", /the dtype "f4,i4"/],
    ["(2,)f4", /records of several fields, "\(2,\)f4"/],
    ["!f4", /the dtype "!f4"/],
    ["<float32", /the dtype "<float32"/],
    ["__proto__", /the dtype "__proto__"/],
    ["[('x', '<f4'), ('größe', '<i4', (2,))]", /records of several fields, "\[\('x'/],
    ["('<f4', (2, 3))", /records of several fields/],
    ["[('a', [('b', '<f4')])]", /records/],
    ["[('a]', '<f4')]", /records/],
  ];
  for (const [descr, message] of unsupported) {
    test(`${descr} is named as unsupported, and the other arrays of its file are read`, async () => {
      const text = /^[[(]['(]/.test(descr) ? descr : `'${descr}'`;
      const header = `{'descr': ${text}, 'fortran_order': False, 'shape': (2,), }`;
      const { descr: described } = { descr: text.replace(/^'(.*)'$/, "$1") };
      const good = await npyBytes(HostTensor.from([1, 2]));
      const zip = await zipOf({ "odd.npy": npyOf(header, 32, 3), "good.npy": good });
      const file = await readNpz(bytesSource(zip));
      expect(await file.describe("odd")).toEqual({
        name: "odd",
        storedAs: described,
        shape: [2],
        byteLength: 32,
      });
      const error = await thrownBy(() => file.read("odd"));
      expect([error.code, error.message]).toEqual(["unsupported", expect.stringMatching(message)]);
      expect([...(await file.read("good")).toArray()]).toEqual([1, 2]);
    });
  }

  for (const broken of ["[('x', '<f4'", "[)", "5", "(", "[('x' '<f4)]"]) {
    test(`${broken} is damage`, async () => {
      const header = `{'descr': ${broken}, 'fortran_order': False, 'shape': (2,), }`;
      expect((await thrownBy(() => readNpy(bytesSource(npyOf(header, 8))))).code).toBe("invalid_file");
    });
  }
});

describe("arrays that ask for more memory than their file has", () => {
  /** An npz with one deflated array: this header, and `rawLength` bytes by the directory's word. */
  async function bomb(shape: string, dataBytes: number): Promise<Uint8Array> {
    const raw = npyOf(`{'descr': '|u1', 'fortran_order': False, 'shape': (${shape}), }`, dataBytes);
    const sink = new BytesSink();
    const zip = new ZipWriter(sink);
    await zip.storeDeflated("a.npy", deflateRaw(raw), { checksum: crc32(raw), rawLength: raw.byteLength });
    await zip.finish();
    return sink.toBytes();
  }

  test("nothing is inflated beyond what an array's own header declares", async () => {
    const file = await readNpz(bytesSource(await bomb("4,", 3_000_000)));
    const error = await thrownBy(() => file.read("a"));
    expect([error.code, error.message]).toEqual([
      "invalid_file",
      'Cannot read array "a": Cannot read an npy file: it has 3000000 bytes for |u1 [4], expected 4',
    ]);
    const shorter = await readNpz(bytesSource(await bomb("4000000,", 3_000_000)));
    expect((await thrownBy(() => shorter.read("a"))).code).toBe("truncated");
  });

  test("a stream that holds more than header and directory agree on stops there", async () => {
    const bytes = await bomb("4,", 3_000_000);
    const view = new DataView(bytes.buffer);
    const directory = view.getUint32(bytes.byteLength - 6, true);
    view.setUint32(directory + 24, view.getUint32(directory + 24, true) - 3_000_000 + 4, true);
    const error = await thrownBy(async () => await (await readNpz(bytesSource(bytes))).read("a"));
    expect([error.code, error.message]).toEqual(["invalid_file", expect.stringMatching(/DEFLATE/)]);
  });

  test("nothing above maxBytes is allocated: 8 GiB unless said otherwise", async () => {
    const header = "{'descr': '|u1', 'fortran_order': False, 'shape': (9000000000,), }";
    const start = npyOf(header);
    const huge = { byteLength: start.byteLength + 9e9, read: bytesSource(start).read };
    const sources = [readNpy({ ...huge, read: (at, into) => huge.read(at, into) })];
    for (const reading of sources) {
      const error = await thrownBy(() => reading);
      expect([error.code, error.message]).toEqual([
        "limit_exceeded",
        "Cannot read an npy file of |u1 [9000000000]: it has 9000000000 bytes, and maxBytes is 8589934592; " +
        "raise maxBytes if that is right",
      ]);
    }
    for (const compress of [false, true]) {
      const file = await readNpz(
        bytesSource(await npzBytes({ a: HostTensor.from([1, 2, 3]) }, { compress })),
      );
      const error = await thrownBy(() => file.read("a", { maxBytes: 11 }));
      expect([error.code, error.message]).toEqual([
        "limit_exceeded",
        expect.stringMatching(/maxBytes is 11;/),
      ]);
      expect((await file.read("a", { maxBytes: 12 })).shape).toEqual([3]);
    }
  });

  test("a header is read without the array behind it, deflated or not", async () => {
    const raw = await npyBytes(HostTensor.from(new Float32Array(2_000_000)));
    for (const compress of [false, true]) {
      const bytes = await npzBytes({
        a: HostTensor.from(Float32Array.from(raw.subarray(0, 500_000), Math.sin)),
      }, {
        compress,
      });
      let read = 0;
      const source = bytesSource(bytes);
      const file = await readNpz({
        ...source,
        read: (offset, into) => {
          read += into.byteLength;
          return source.read(offset, into);
        },
      });
      read = 0;
      expect((await file.describe("a")).shape).toEqual([500_000]);
      expect(read).toBeLessThan(80_000);
    }
  });
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

/**
 * Writes zip files of one array in many ways, and an npy file for each descr; prints what NumPy makes of the latter.
 */
const SPELLINGS = `
import io, os, struct, sys, warnings, zipfile, numpy as np
warnings.simplefilter("ignore")
folder = sys.argv[1]
array = np.arange(6, dtype=">f4").reshape(2, 3)
raw = io.BytesIO()
np.save(raw, array)
raw = raw.getvalue()
for method, name in [(zipfile.ZIP_STORED, "stored"), (zipfile.ZIP_DEFLATED, "deflated")]:
    path = os.path.join(folder, name + ".npz")
    with zipfile.ZipFile(path, "w", method) as z:
        z.writestr("folder/", b"")
        z.writestr("notes.txt", b"not an array")
        with z.open("a.npy", "w", force_zip64=True) as f: f.write(raw)
        z.writestr("old.npy", raw)
        z.comment = b"written " * 1000
    with open(path, "rb") as f: whole = f.read()
    with open(os.path.join(folder, name + "_behind.npz"), "wb") as f: f.write(b"#!/bin/sh\\nexit\\n" * 50 + whole)
    with open(os.path.join(folder, name + "_appended.npz"), "wb") as f: f.write(b"x" * 100)
    with zipfile.ZipFile(os.path.join(folder, name + "_appended.npz"), "a", method) as z:
        z.writestr("a.npy", raw)
        z.writestr("old.npy", raw)
with zipfile.ZipFile(os.path.join(folder, "mixed.npz"), "w") as z:
    z.writestr("a.npy", raw)
    z.writestr("b.npy", raw, zipfile.ZIP_BZIP2)
    z.writestr("c.npy", raw, zipfile.ZIP_LZMA)
    z.writestr("old.npy", raw)
codes = "b1 u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8 f16 c8 c16 U2 S2 V3 M8[s] m8 O ? b B h H i I l L q Q e f d g F D p P i3 u f3 x".split()
names = "bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float16 float32 float64 half single double int float byte short intc intp longlong float8 Float32 complex64 str".split()
for descr in [order + code for code in codes for order in ["", "<", ">", "=", "|", "!"]] + names + ["<" + n for n in names]:
    header = ("{'descr': '%s', 'fortran_order': False, 'shape': (2,)}" % descr).encode()
    file = b"\\x93NUMPY\\x01\\x00" + struct.pack("<H", len(header)) + header
    for size in [1, 2, 3, 4, 8, 16, 32]:
        data = bytes([i % 2 for i in range(2 * size)])
        try: found = np.load(io.BytesIO(file + data), allow_pickle=False)
        except Exception: continue
        if found.dtype.itemsize != size: continue
        native = found.astype(found.dtype.newbyteorder("<"))
        print(descr, found.dtype.kind, size, native.tobytes().hex())
        break
    else: print(descr, "-")
`;

describe("whatever NumPy itself reads", () => {
  const python = pythonWith("numpy");

  test("is read, or its dtype is named as unsupported, however the file is written", async () => {
    if (python === undefined) return;
    const folder = mkdtempSync(join(tmpdir(), "cairn-spellings-"));
    try {
      const lines = runPython(python, "-c", SPELLINGS, folder).trim().split("\n");
      expect(lines.length).toBeGreaterThan(250);
      let read = 0;
      for (const line of lines) {
        const [descr = "", kind = "", size = "", hex = ""] = line.split(" ");
        const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (2,)}`;
        const data = Uint8Array.from({ length: 2 * Number(size || 1) }, (_, i) => i % 2);
        const outcome = await readNpy(bytesSource(npyOf(header, data)))
          .then(({ bytes }) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(""))
          .catch((error) => error.code);
        const isNumber = "biuf".includes(kind) && Number(size) <= 8;
        expect([descr, outcome]).toEqual([descr, isNumber ? hex : "unsupported"]);
        if (isNumber) read++;
      }
      expect(read).toBeGreaterThan(130);
      for (const name of ["stored", "stored_behind", "stored_appended", "deflated", "deflated_behind"]) {
        const file = await readNpz(bytesSource(new Uint8Array(readFileSync(join(folder, `${name}.npz`)))));
        expect([name, ...file.names()]).toEqual([name, "a", "old"]);
        for (const array of file.names()) {
          expect([...(await file.read(array)).toArray()]).toEqual([0, 1, 2, 3, 4, 5]);
        }
      }
      const mixed = await readNpz(bytesSource(new Uint8Array(readFileSync(join(folder, "mixed.npz")))));
      for (const array of ["b", "c"]) {
        expect((await thrownBy(() => mixed.read(array))).message).toMatch(/compressed by method 1[24]/);
      }
      for (const array of ["a", "old"]) expect((await mixed.read(array)).shape).toEqual([2, 3]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
