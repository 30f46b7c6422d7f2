import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "bun:test";
import { crc32 } from "../../src/base/crc32/crc32.ts";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { bytesSource } from "../../src/container/source.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { pythonWith, runPython } from "../exchange/python.ts";
import { encodeManifest } from "./manifest_at_once.ts";

const golden = new URL("../golden/", import.meta.url);
const files = readdirSync(golden, { recursive: true }).map(String).filter((name) => name.endsWith(".cairn"));
const reader = new URL("../../cairn_reader.py", import.meta.url);
const script = fileURLToPath(new URL("cairn_reader_check.py", import.meta.url));

/** What cairn_reader_check.py prints of a file. */
interface Seen {
  readonly names: readonly string[];
  /** In the order of the names; none where one is damaged. */
  readonly tensors: readonly SeenTensor[];
  /** The three state trees, encoded again. */
  readonly state: unknown;
  readonly metrics: unknown;
  readonly user: unknown;
  readonly damaged: readonly string[];
  /** Offsets of bytes that were changed without the reader noticing. */
  readonly unnoticed: readonly number[];
}

interface SeenTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly checksum: number;
  readonly byteLength: number;
  /** Its first elements as text, row by row. */
  readonly elements: readonly string[];
  readonly array: string;
}

const bytesOf = (file: string): Uint8Array => new Uint8Array(readFileSync(new URL(file, golden)));

/** What Python says of all files, or undefined where there is no Python. */
function readInPython(...modules: string[]): Readonly<Record<string, Seen>> | undefined {
  const python = pythonWith(...modules);
  if (python === undefined) return undefined;
  const paths = files.map((file) => fileURLToPath(new URL(file, golden)));
  const output = runPython(python, "-B", script, modules.length > 0 ? "numpy" : "plain", ...paths);
  return Object.fromEntries((JSON.parse(output) as Seen[]).map((seen, i) => [files[i], seen]));
}

/** An element as Python's text says it. */
function elementOf(text: string, dtype: string): number | bigint {
  if (dtype === "u64" || dtype === "i64") return BigInt(text);
  return Number(text.replace("inf", "Infinity").replace("True", "1").replace("False", "0"));
}

async function expectSame(file: string, seen: Seen, arrays: string): Promise<void> {
  const container = await ContainerReader.open(bytesSource(bytesOf(file)));
  expect(seen.names).toEqual(container.tensors.map(({ name }) => name));
  const { state, metrics, user } = JSON.parse(new TextDecoder().decode(encodeManifest(container.manifest)));
  expect({ state: seen.state, metrics: seen.metrics, user: seen.user }).toEqual({ state, metrics, user });
  const needsZstd = container.chunks.some(({ codec }) => codec.name === "zstd");
  if (needsZstd && seen.damaged.length > 0) {
    expect(seen.damaged.every((message) => /needs Python 3\.14/.test(message))).toBe(true);
    return;
  }
  expect(seen.damaged).toEqual([]);
  expect(seen.unnoticed).toEqual([]);
  for (const [index, { name, dtype, shape }] of container.tensors.entries()) {
    const bytes = await container.read(name);
    const { elements, array, ...rest } = seen.tensors[index] as SeenTensor;
    expect([name, rest]).toEqual([name, {
      dtype,
      shape: [...shape],
      checksum: crc32(bytes),
      byteLength: bytes.byteLength,
    }]);
    expect(array).toContain(arrays);
    const values = [...HostTensor.fromBytes(bytes, dtype, shape).toArray()].slice(0, elements.length);
    expect([name, elements.map((text) => elementOf(text, dtype))]).toEqual([name, values]);
  }
}

describe("the reader in Python", () => {
  test("has at most 200 lines, and asks for nothing but the standard library", () => {
    const text = readFileSync(reader, "utf8");
    expect(text.split("\n").length - 1).toBeLessThanOrEqual(200);
    const imported = [...text.matchAll(/^\s*(?:import|from) (.+?)(?: import .*)?$/gm)].flatMap((
      [, names = ""],
    ) => names.split(", "));
    const ofLibrary = "array bisect collections functools io itertools json mmap struct sys zlib";
    expect(imported.sort()).toEqual([...ofLibrary.split(" "), "numpy", "compression.zstd"].sort());
  });

  const plain = readInPython();
  if (plain === undefined) console.log("SKIP python: the reader in Python was not run (no python3)");
  const withNumpy = plain === undefined ? undefined : readInPython("numpy");
  expect(files.length).toBeGreaterThan(30);
  for (const file of files) {
    test(`reads ${file} as this library does, by the standard library alone and with NumPy (M1)`, async () => {
      if (plain !== undefined) await expectSame(file, plain[file] as Seen, "array.array");
      if (withNumpy !== undefined) await expectSame(file, withNumpy[file] as Seen, "numpy.ndarray");
    });
  }
});
