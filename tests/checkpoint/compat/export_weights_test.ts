import { describe, expect, test } from "bun:test";
import { decodeBfloat16, decodeFloat16 } from "../../../src/base/float16.ts";
import { ContainerReader } from "../../../src/container/read/container_reader.ts";
import { bytesSource } from "../../../src/container/source.ts";
import { CommitInfo } from "../../../src/checkpoint/engine/commit_info.ts";
import { exportWeights } from "../../../src/checkpoint/compat/export_weights.ts";
import { readSafetensors } from "../../../src/exchange/safetensors/read_safetensors.ts";
import type { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { rowsOfRank } from "../../../src/checkpoint/file/parts/rank_view.ts";
import { saveByRanks } from "../../../src/checkpoint/ranks/save_by_ranks.ts";
import { openSource } from "../../../src/checkpoint/file/storage_source.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { counterRandom, memoryEngine } from "../fixtures.ts";
import { frozenTensors, modelTensors, readBytes, type TensorsByName } from "../file/parts/frozen_tensors.ts";

/** Ties of both kinds, what is too large for f16, and what no float can be compared with. */
const NUMBERS = [1, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 70_000, -0, NaN, 1e-8];

async function saved(tensors: TensorsByName, components = false): Promise<FileEngine> {
  const engine = await memoryEngine(undefined, { components });
  await engine.create("a");
  await engine.save(
    frozenTensors(tensors, { state: { epoch: 1 }, metrics: { loss: 2 }, provenance: { step: 5 } }),
  );
  await engine.commit("a");
  return engine;
}

async function openExported(storage: MemoryStorage, path: string): Promise<ContainerReader> {
  return await ContainerReader.open(bytesSource(await readBytes(storage, path)));
}

describe("exportWeights", () => {
  test("DS-17 gives one file with the model's weights alone, from a checkpoint of one file or of several", async () => {
    const files: Uint8Array[] = [];
    for (const components of [false, true]) {
      const engine = await saved(modelTensors(3), components);
      const checkpoint = await engine.load("a");
      const target = new MemoryStorage();
      const report = await exportWeights(checkpoint, target, "out/weights.cairn");
      expect(report.tensors).toEqual(["0.weight", "0.bias", "mask", "nothing", "1.weight", "tied"]);
      const reader = await openExported(target, "out/weights.cairn");
      expect((await reader.verify()).ok).toBe(true);
      for (const name of report.tensors) {
        expect(await reader.read(name)).toEqual(await checkpoint.reader.read(`model.${name}`));
      }
      expect(reader.tensor("tied").aliasOf).toBe("0.weight");
      const { kind, state, metrics, provenance } = reader.manifest;
      expect([kind, state, metrics, provenance.step, provenance.runId]).toEqual([
        "tensors",
        {},
        { loss: 2 },
        5,
        undefined,
      ]);
      await exportWeights(checkpoint, target, "weights.safetensors");
      files.push(await readBytes(target, "weights.safetensors"));
      await checkpoint.close();
    }
    expect(files[0]).toEqual(files[1] as Uint8Array);
  });

  test("DS-17 16-bit weights are rounded to nearest, ties to even, and integers stay as they are", async () => {
    const engine = await saved({
      "model.w": HostTensor.from(NUMBERS),
      "model.mask": HostTensor.fromBytes(Uint8Array.of(1, 2, 3), "u8", [3]),
      "model.double": HostTensor.fromBytes(new Uint8Array(Float64Array.of(0.1).buffer), "f64", [1]),
    });
    const checkpoint = await engine.load("a");
    const target = new MemoryStorage();
    const expected = {
      f16: [1, 1, 1 + 2 ** -9, 1 + 2 ** -8, 1 + 3 * 2 ** -8, Infinity, -0, NaN, 0],
      bf16: [1, 1, 1, 1, 1 + 2 ** -6, 70_144, -0, NaN, 1.0011717677116394e-8],
    };
    for (const dtype of ["f16", "bf16"] as const) {
      await exportWeights(checkpoint, target, `${dtype}.cairn`, { dtype });
      const reader = await openExported(target, `${dtype}.cairn`);
      expect(reader.tensors.map(({ name, dtype }) => `${name} ${dtype}`)).toEqual([
        `w ${dtype}`,
        "mask u8",
        "double f64",
      ]);
      const bits = new Uint16Array((await reader.read("w")).buffer);
      expect([...(dtype === "f16" ? decodeFloat16 : decodeBfloat16)(bits)]).toEqual(expected[dtype]);
      expect(await reader.read("mask")).toEqual(Uint8Array.of(1, 2, 3));
      await exportWeights(checkpoint, target, `${dtype}.safetensors`, { dtype });
      const file = await readSafetensors(await openSource(target, `${dtype}.safetensors`));
      expect((await file.read("w")).bytes).toEqual(await reader.read("w"));
      await file.close();
    }
    await checkpoint.close();
  });

  test("DS-17 the shards of several ranks come out as whole tensors, and what is not the same for all is refused", async () => {
    const storage = new MemoryStorage();
    const table = HostTensor.from(Array.from({ length: 5 }, (_, row) => [row, row + 0.5, -row]));
    await Promise.all([0, 1].map(async (rank) => {
      const shard = rowsOfRank(5, rank, 2);
      const rows = table.bytes.slice(shard.start * 12, shard.end * 12);
      return await saveByRanks({
        engine: await memoryEngine(storage, { random: counterRandom(rank + 1) }),
        info: CommitInfo.of("a"),
        overwrite: false,
        frozen: frozenTensors({
          "model.table": HostTensor.fromBytes(rows, "f32", [shard.end - shard.start, 3]),
          "model.scale": HostTensor.from([2]),
          "model.own": HostTensor.from([rank]),
        }),
        ranks: {
          rank,
          worldSize: 2,
          replicated: ["model.scale"],
          sharded: { "model.table": shard },
          pollMs: 1,
        },
      });
    }));
    const checkpoint = await (await memoryEngine(storage)).load("a");
    const target = new MemoryStorage();
    const refused = await thrownBy(() => exportWeights(checkpoint, target, "w.cairn"));
    expect([refused.code, refused.message]).toEqual([
      "state_mismatch",
      expect.stringContaining('"model.own" was an own tensor of rank 1'),
    ]);
    await exportWeights(checkpoint, target, "w.cairn", { exclude: ["model.own"] });
    const reader = await openExported(target, "w.cairn");
    expect([...reader.tensors.map(({ name }) => name)].sort()).toEqual(["scale", "table"]);
    expect(await reader.read("table")).toEqual(table.bytes);
    checkpoint.forRank({ rank: 1, worldSize: 2 });
    expect(await thrownBy(() => exportWeights(checkpoint, target, "x.cairn"))).toBeInstanceOf(TypeError);
    await checkpoint.close();
  });

  test("a path without a format, a file that is there and a checkpoint without weights are refused", async () => {
    const engine = await saved(modelTensors(1));
    const checkpoint = await engine.load("a");
    const target = new MemoryStorage();
    expect(await thrownBy(() => exportWeights(checkpoint, target, "w.bin"))).toBeInstanceOf(TypeError);
    for (const name of ["w.cairn", "w.safetensors"]) {
      await exportWeights(checkpoint, target, name);
      expect((await thrownBy(() => exportWeights(checkpoint, target, name))).code).toBe("already_exists");
      await exportWeights(checkpoint, target, name, { overwrite: true, dtype: "bf16" });
    }
    expect((await thrownBy(() => exportWeights(checkpoint, target, "y.cairn", { exclude: ["*"] }))).code)
      .toBe("not_found");
    expect((await target.list("")).map(({ name }) => name)).toEqual(["w.cairn", "w.safetensors"]);
    await checkpoint.close();
  });
});
