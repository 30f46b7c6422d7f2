import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { sizeOf } from "../../src/cli/convert/size_of.ts";
import { openPlace } from "../../src/cli/open/open_file.ts";
import { locate } from "../../src/cli/open/locate.ts";
import { expectGolden, run } from "./captured.ts";
import { serveFiles } from "./file_server.ts";
import { modelSample, sampleBytes, saveRun, withDamage, writeSample } from "./sample_files.ts";

const foreign = fileURLToPath(new URL("../exchange/files/", import.meta.url));
let directory: string;
let model: string;
let count = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "cairn-cli-"));
  model = await writeSample(directory, "model.cairn");
});
afterAll(async () => await rm(directory, { recursive: true, force: true }));

/** A path that is not there yet. */
function fresh(ending: string): string {
  return join(directory, `out-${++count}${ending}`);
}

async function golden(name: string, args: readonly string[]): Promise<void> {
  expectGolden(name, await run(args), { [directory]: "DIR", [foreign]: "FOREIGN/" });
}

/** What a file lists: names with dtype, shape and alias. */
async function listed(path: string): Promise<string[]> {
  const file = await openPlace(await locate(path));
  const tensors = await file.list();
  await file.close();
  return tensors.map(({ name, dtype, shape, aliasOf }) =>
    `${name} ${dtype} [${shape}] ${aliasOf ?? ""}`.trim()
  ).sort();
}

describe("cairn convert", () => {
  for (const ending of [".cairn", ".safetensors", ".npz"]) {
    test(`writes ${ending} with the same bits`, async () => {
      const out = fresh(ending);
      expect((await run(["convert", model, out])).code).toBe(0);
      expect((await run(["diff", model, out, "--tensors"])).text).toContain("5 of 5 tensors have equal bits");
    });
  }

  test("reads what NumPy and PyTorch wrote", async () => {
    const numpy = fresh(".cairn");
    const torch = fresh(".safetensors");
    await golden("convert_unreadable", ["convert", `${foreign}numpy.npz`, numpy]);
    expect((await run(["convert", `${foreign}numpy.npz`, numpy, "--exclude", "text,complex"])).code).toBe(0);
    expect((await run(["diff", numpy, `${foreign}numpy.npz`, "--tensors"])).text).toContain(
      "18 of 20 tensors",
    );
    const args = ["convert", `${foreign}torch_1.13.pt`, torch, "--include", "model.*,optimizer.*"];
    expect((await run(args)).code).toBe(0);
    expect(
      (await run([
        "diff",
        torch,
        `${foreign}torch_1.13.pt`,
        "--include",
        "model.*",
        "--include",
        "optimizer.*",
      ])).code,
    )
      .toBe(0);
  });

  test("casts, chooses and renames", async () => {
    const out = fresh(".safetensors");
    const args = ["--dtype", "bf16", "--include", "model.*", "--exclude", "*.scale", "--rename", "model.*=*"];
    await golden("convert", ["convert", model, out, ...args]);
    expect(await listed(out)).toEqual([
      "0.bias bf16 [32]",
      "0.weight bf16 [64,32]",
      "head bf16 [64,32] 0.weight",
    ]);
    const back = fresh(".npz");
    await golden("convert_widened", ["convert", out, back, "--json"]);
    expect((await run(["diff", out, back])).text).toContain("difference");
    expect((await run(["diff", out, back, "--tolerance", "1e-30"])).code).toBe(0);
  });

  test("cuts safetensors into several files, and puts them together again", async () => {
    const out = fresh(".safetensors");
    await golden("convert_sharded", ["convert", model, out, "--max-file-size", "5kB"]);
    const index = `${out}.index.json`;
    expect((await run(["inspect", index])).code).toBe(0);
    const back = fresh(".cairn");
    expect((await run(["convert", index, back])).code).toBe(0);
    expect((await run(["diff", back, model, "--tensors", "--include", "model.0.*"])).code).toBe(0);
  });

  test("leaves the arrays of a checkpoint's state behind, and says so", async () => {
    const place = join(directory, "run");
    await saveRun(place, [{ step: 1, loss: 1 }]);
    await golden("convert_state_only", ["convert", place, fresh(".npz")]);
  });

  test("converts a remote file", async () => {
    const server = await serveFiles({ "model.cairn": await sampleBytes(modelSample()) });
    const out = fresh(".npz");
    try {
      expect((await run(["convert", `${server.address}/model.cairn`, out, "--compress"])).code).toBe(0);
    } finally {
      await server.close();
    }
    expect((await run(["diff", out, model])).code).toBe(0);
  });

  test("leaves nothing when the source is damaged, and replaces nothing unless it is told to", async () => {
    const damaged = join(directory, "damaged.cairn");
    await writeFile(damaged, withDamage(await sampleBytes(), 5000));
    const before = await readdir(directory);
    await golden("convert_damaged", ["convert", damaged, join(directory, "never.npz")]);
    expect(await readdir(directory)).toEqual(before);
    const out = fresh(".npz");
    await writeFile(out, "mine");
    await golden("convert_exists", ["convert", model, out]);
    expect(await readFile(out, "utf8")).toBe("mine");
    expect((await run(["convert", model, out, "--overwrite"])).code).toBe(0);
  });

  test("says what is wrong with how it is called", async () => {
    await golden("convert_ending", ["convert", model, "model.onnx"]);
    await golden("convert_dtype", ["convert", model, "x.npz", "--dtype", "fp8"]);
    await golden("convert_rename", ["convert", model, "x.npz", "--rename", "model"]);
    await golden("convert_twice", ["convert", model, "x.npz", "--rename", "model.*=same"]);
    await golden("convert_include", ["convert", model, "x.npz", "--exclude", "modle.*"]);
  });
});

describe("sizeOf", () => {
  test("reads sizes as people write them", () => {
    expect(["5GB", "500 MB", "1.5k", "7", "2TB"].map(sizeOf)).toEqual([5e9, 5e8, 1500, 7, 2e12]);
    for (const wrong of ["", "GB", "-1", "1 XB", "0"]) expect(() => sizeOf(wrong)).toThrow("is no size");
  });
});
