import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeSafetensors } from "../../src/exchange/safetensors/write_safetensors.ts";
import { BytesSink } from "../../src/container/source.ts";
import { distanceOf } from "../../src/cli/diff/distance_of.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import type { DType } from "../../src/base/dtype.ts";
import { expectGolden, run } from "./captured.ts";
import { serveFiles } from "./file_server.ts";
import { modelSample, sampleBytes, withDamage, writeSample } from "./sample_files.ts";

let directory: string;
let a: string;
let b: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "cairn-cli-"));
  const sample = modelSample();
  const weight = sample.tensors["model.0.weight"] as HostTensor;
  a = await writeSample(directory, "a.cairn", sample);
  const moved = (weight.toArray() as Float32Array).map((value) => value + 0.001);
  b = await writeSample(directory, "b.cairn", {
    ...sample,
    tensors: {
      ...sample.tensors,
      "model.0.weight": HostTensor.from(moved, [64, 32]),
      "model.0.bias": HostTensor.from(new Float32Array(31), [31]),
      "model.1.scale": HostTensor.from(Float32Array.of(1, 2, Infinity, 0), [4]),
      "model.2.new": HostTensor.from([1]),
    },
    aliases: {},
    state: { epoch: 4, name: "a\u001b[31mred", seen: new Set([1, 3]), more: true },
    metrics: { loss: NaN, val_loss: 0.5 },
  });
});
afterAll(async () => await rm(directory, { recursive: true, force: true }));

async function golden(
  name: string,
  args: readonly string[],
  more: Record<string, string> = {},
): Promise<void> {
  expectGolden(name, await run(args), { [directory]: "DIR", ...more });
}

describe("cairn diff", () => {
  test("says where two checkpoints differ", async () => {
    await golden("diff", ["diff", a, b]);
    await golden("diff_json", ["diff", a, b, "--json"]);
  });

  test("says that a file and itself are the same", async () => {
    await golden("diff_same", ["diff", a, a]);
    await golden("diff_same_all", ["diff", a, a, "--all"]);
  });

  test("takes small differences for none where that is asked for", async () => {
    const args = ["diff", a, b, "--include", "model.0.weight", "--tensors"];
    expect((await run(args)).code).toBe(1);
    expect((await run([...args, "--tolerance", "0.01"])).code).toBe(0);
    await golden("diff_tolerance", [...args, "--tolerance", "little"]);
  });

  test("compares with a file of another format, and by address", async () => {
    const { tensors } = modelSample();
    const sink = new BytesSink();
    await writeSafetensors(sink, tensors);
    const server = await serveFiles({
      "m.safetensors": sink.toBytes(),
      "bad.cairn": withDamage(await sampleBytes(), 5000),
    });
    try {
      const host = { [server.address]: "http://HOST" };
      await golden("diff_remote", ["diff", a, `${server.address}/m.safetensors`], host);
      await golden("diff_damaged", ["diff", a, `${server.address}/bad.cairn`], host);
    } finally {
      await server.close();
    }
    await writeFile(join(directory, "empty.npz"), "");
    await golden("diff_unreadable", ["diff", a, join(directory, "empty.npz")]);
  });
});

describe("distanceOf", () => {
  const stream = (dtype: DType, values: ArrayLike<number> | readonly bigint[], cut: number) => {
    const { bytes } = HostTensor.from([...values as number[]], [values.length], dtype);
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.byteLength; at += cut) yield bytes.subarray(at, at + cut);
    };
    return { dtype, pieces: pieces() };
  };

  test("is right however the streams are cut, and across dtypes", async () => {
    const values = [1, 2, 3, 4, 5];
    const found = await distanceOf(
      stream("f32", values, 8),
      stream("f64", values.map((value) => value + 1), 24),
    );
    expect([found.count, found.different]).toEqual([5, 5]);
    expect(found.greatest).toBe(1);
    expect(found.relative).toBeCloseTo(Math.sqrt(5 / 55), 12);
    expect(found.cosine).toBeCloseTo(70 / Math.sqrt(55 * 90), 12);
  });

  test("sees one bit, a signed zero, and integers that no number holds", async () => {
    const zeros = await distanceOf(stream("f32", [0], 4), stream("f32", [-0], 4));
    expect([zeros.different, zeros.greatest]).toEqual([1, 0]);
    const large = 2n ** 60n;
    const found = await distanceOf(stream("i64", [large], 8), stream("i64", [large + 1n], 8));
    expect([found.different, found.greatest]).toEqual([1, 1]);
  });

  test("takes NaN for NaN, and counts what is only in one", async () => {
    const found = await distanceOf(
      stream("f32", [NaN, NaN, Infinity, Infinity, 1], 4),
      stream("f32", [NaN, 1, Infinity, -Infinity, 1], 4),
    );
    expect([found.different, found.notFinite, found.greatest, found.cosine]).toEqual([2, 2, 0, 1]);
  });
});
