import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import type { Checkpoint } from "../../../../src/checkpoint/file/checkpoint.ts";
import type { FileEngine } from "../../../../src/checkpoint/engine/file_engine.ts";
import { loadCheckpoint } from "../../../../src/checkpoint/compat/load_checkpoint.ts";
import { MirrorEngine } from "../../../../src/checkpoint/compose/mirror_engine.ts";
import { openCheckpoint } from "../../../../src/checkpoint/file/open_path.ts";
import { partFileName, PARTS_DIRECTORY } from "../../../../src/checkpoint/file/parts/part_files.ts";
import { recover } from "../../../../src/checkpoint/keep/recovery.ts";
import { retain } from "../../../../src/checkpoint/keep/retention/retention.ts";
import { saveCheckpoint } from "../../../../src/checkpoint/compat/save_checkpoint.ts";
import { quarantine } from "../../../../src/checkpoint/keep/quarantine.ts";
import { MemoryStorage } from "../../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../../src/storage/storage.ts";
import { gpuTest } from "../../../helpers/gpu.ts";
import { bytes, writeFile } from "../../../storage/storage_contract.ts";
import {
  codeOf,
  contentsOf,
  counterRandom,
  errorOf,
  fileNames,
  fillStore,
  memoryEngine,
  OTHER_RUN_ID,
  saveState,
  smallStore,
} from "../../fixtures.ts";
import { frozenTensors, modelTensors, readBytes, type TensorsByName } from "./frozen_tensors.ts";

const STATE = { step: 7, losses: new Float64Array([1, 2, 3]) };

async function save(
  engine: FileEngine,
  tag: string,
  seed: number,
  options: { overwrite?: boolean; step?: number } = {},
): Promise<void> {
  await engine.create(tag, { overwrite: options.overwrite ?? false });
  const { step } = options;
  await engine.save(
    frozenTensors(modelTensors(seed), {
      state: STATE,
      provenance: { savedBy: "auto", ...step === undefined ? {} : { step } },
    }),
  );
  await engine.commit(tag);
}

/** Every tensor of a checkpoint, by every way of reading. */
async function tensorsOf({ reader }: Checkpoint): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const { name } of reader.tensors) found[name] = (await reader.read(name)).join();
  for await (const { name, bytes } of reader.readMany(Object.keys(found))) {
    expect([name, bytes.join()]).toEqual([name, found[name] as string]);
  }
  for await (const { rawOffset, bytes } of reader.rawChunks()) {
    expect((await reader.readRange(rawOffset, bytes.byteLength)).join()).toBe(bytes.join());
  }
  return found;
}

function expectedOf(tensors: TensorsByName): Record<string, string> {
  const text = (name: string): string => {
    const tensor = tensors[name];
    return typeof tensor === "string" ? text(tensor) : tensor?.bytes.join() ?? "";
  };
  return Object.fromEntries(Object.keys(tensors).map((name) => [name, text(name)]));
}

function partNames(storage: Storage): Promise<string[]> {
  return storage.list(PARTS_DIRECTORY).then((entries) => entries.map(({ name }) => name));
}

describe("a checkpoint of several files", () => {
  test("NN-13 has a file per component and is read as one checkpoint", async () => {
    const engine = await memoryEngine(undefined, { components: true, chunkBytes: 1024 });
    await save(engine, "7", 1);
    expect(await fileNames(engine.storage)).toEqual(["7.cairn", "latest", PARTS_DIRECTORY]);
    const checkpoint = await engine.load(7);
    expect(checkpoint.parts.map(({ name }) => name)).toEqual(["model", "optimizer", "loss"]);
    expect((await partNames(engine.storage)).sort()).toEqual(checkpoint.parts.map(partFileName).sort());
    const { "state:losses": losses, ...tensors } = await tensorsOf(checkpoint);
    expect(tensors).toEqual(expectedOf(modelTensors(1)));
    expect(losses).toBe(new Uint8Array(STATE.losses.buffer).join());
    expect(await checkpoint.state()).toEqual(STATE);
    expect(checkpoint.reader.tensor("model.tied").aliasOf).toBe("model.0.weight");
    await checkpoint.verify();
    const { entries } = checkpoint.getManifest();
    expect(Object.keys(entries)).toContain("tensors/model.0.weight");
    expect(await checkpoint.readObject("tensors/model.mask")).toMatchObject({ dtype: "u8", shape: [7] });
    await checkpoint.close();
  });

  test("NN-13 only the named keys get files, none is made for one without tensors, and the source is not changed", async () => {
    const engine = await memoryEngine(undefined, { components: ["optimizer", "ema"] });
    const frozen = frozenTensors(modelTensors(1), { state: STATE });
    const before = JSON.stringify(frozen.manifest);
    await engine.create("x");
    const written = await engine.save(frozen);
    await engine.commit("x");
    expect(JSON.stringify(frozen.manifest)).toBe(before);
    const checkpoint = await engine.load("x");
    expect(checkpoint.parts.map(({ name }) => name)).toEqual(["optimizer"]);
    const files = await Promise.all(
      ["x.cairn", `${PARTS_DIRECTORY}/${(await partNames(engine.storage))[0]}`].map((path) =>
        readBytes(engine.storage, path)
      ),
    );
    expect(written.fileBytes).toBe(files.reduce((sum, { byteLength }) => sum + byteLength, 0));
    expect(await tensorsOf(checkpoint)).toMatchObject(expectedOf(modelTensors(1)));
    await checkpoint.close();
    for (const name of ["", "../model", "a/b", "model.", 3 as unknown as string]) {
      await expect(memoryEngine(undefined, { components: [name] })).rejects.toThrow(TypeError);
    }
  });

  test("codecs of single tensors go with them, and one of no tensor is refused as in one file", async () => {
    const codecs = { "model.0.weight": "raw", "optimizer.m.0.weight": "deflate" } as const;
    const engine = await memoryEngine(undefined, { components: ["model"], tensorCodecs: codecs });
    await save(engine, "a", 1);
    for (const components of [true, false]) {
      const bad = await memoryEngine(undefined, { components, tensorCodecs: { "model.absent": "raw" } });
      await expect(save(bad, "a", 1)).rejects.toThrow('names a tensor "model.absent", which is not there');
      expect(await fileNames(bad.storage)).toEqual(components ? [PARTS_DIRECTORY] : []);
    }
  });

  test("a component without parts is the file it always was, byte for byte", async () => {
    const one = await memoryEngine(undefined);
    const other = await memoryEngine(undefined, { components: [] });
    for (const engine of [one, other]) await save(engine, "x", 1);
    expect(await readBytes(other.storage, "x.cairn")).toEqual(await readBytes(one.storage, "x.cairn"));
  });

  gpuTest("is loaded into a store like any other, whole or in part", async (gpu) => {
    const store = smallStore(gpu);
    const target = smallStore(gpu);
    try {
      fillStore(store, 5);
      fillStore(target, 6);
      const engine = await memoryEngine(undefined, { components: true, chunkBytes: 1024 });
      await engine.create("a");
      await engine.save({ store, state: STATE });
      await engine.commit("a");
      const before = await contentsOf(target, "optimizer");
      const checkpoint = await engine.load("a");
      await checkpoint.loadInto(target, { groups: ["model"] });
      expect(await contentsOf(target, "model")).toEqual(await contentsOf(store, "model"));
      expect(await contentsOf(target, "optimizer")).toEqual(before);
      const report = await checkpoint.loadInto(target);
      expect([report.missing, report.unexpected]).toEqual([[], []]);
      expect(await contentsOf(target)).toEqual(await contentsOf(store));
      await checkpoint.close();
    } finally {
      await store.close();
      await target.close();
    }
  });

  gpuTest(
    "saveCheckpoint and loadCheckpoint take a directory with components, and refuse what an engine has itself",
    async (gpu) => {
      const directory = await mkdtemp(path.join(os.tmpdir(), "cairn-components-"));
      const store = smallStore(gpu);
      try {
        fillStore(store, 8);
        const before = await contentsOf(store);
        const options = { tag: "a", components: ["model"] };
        await saveCheckpoint(directory, { store, state: STATE }, options);
        const checkpoint = await openCheckpoint(path.join(directory, "a"));
        expect(checkpoint.parts.map(({ name }) => name)).toEqual(["model"]);
        await checkpoint.close();
        fillStore(store, 9);
        const { report, placement } = await loadCheckpoint(directory, { store });
        expect([report?.missing, placement?.savedWorldSize]).toEqual([[], undefined]);
        expect(await contentsOf(store)).toEqual(before);
        const engine = await memoryEngine();
        await expect(saveCheckpoint(engine, { store }, options)).rejects.toThrow("open it with that");
        const ranks = { rank: 0, worldSize: 1 };
        await expect(saveCheckpoint(directory, { store }, { ...options, ranks })).rejects.toThrow(TypeError);
        const mirror = new MirrorEngine([engine]);
        expect(await codeOf(saveCheckpoint(mirror, { store }, { tag: "a", ranks }))).toBe("unsupported");
      } finally {
        await store.close();
        await rm(directory, { recursive: true, force: true });
      }
    },
  );

  test("an overwrite leaves the parts of the new one only, and a reader of the old one goes on reading", async () => {
    const engine = await memoryEngine(undefined, { components: true });
    await save(engine, "last", 1);
    const old = await engine.load("last");
    const oldParts = await partNames(engine.storage);
    await save(engine, "last", 2, { overwrite: true });
    const newParts = await partNames(engine.storage);
    expect(newParts).toHaveLength(oldParts.length);
    expect(newParts.filter((name) => oldParts.includes(name))).toEqual([]);
    expect(await tensorsOf(old)).toMatchObject(expectedOf(modelTensors(1)));
    await old.close();
    const checkpoint = await engine.load("last");
    expect(await tensorsOf(checkpoint)).toMatchObject(expectedOf(modelTensors(2)));
    await checkpoint.close();
    // And back to one file.
    const single = await memoryEngine(engine.storage, { random: counterRandom(9) });
    await saveState(single, "last", { step: 1 }, { overwrite: true });
    expect(await partNames(engine.storage)).toEqual([]);
  });

  test("removal and retention take the parts with it, but not those that a copied index names", async () => {
    const engine = await memoryEngine(undefined, { components: true });
    for (const step of [1, 2, 3]) await save(engine, String(step), step, { step });
    await writeFile(engine.storage, "best.cairn", await readBytes(engine.storage, "1.cairn"));
    const report = await retain(engine, "3", { last: 1 });
    expect(report.deleted).toContain("2");
    const best = await engine.load("best").catch(() => undefined);
    const left = new Set(await partNames(engine.storage));
    for (const tag of await engine.list()) {
      const checkpoint = await engine.load(tag);
      await checkpoint.verify();
      for (const part of checkpoint.parts) left.delete(partFileName(part));
      await checkpoint.close();
    }
    expect([...left]).toEqual([]);
    await best?.close();
  });

  test("a removal that is refused at the last moment changes nothing", async () => {
    const engine = await memoryEngine(undefined, { components: true });
    await save(engine, "1", 1);
    await engine.remove("1", { confirm: () => Promise.resolve(false) });
    const checkpoint = await engine.load("1");
    await checkpoint.verify();
    await checkpoint.close();
  });

  test("a missing, damaged or swapped part is damage, is named, and the older checkpoint is taken", async () => {
    const spoil: Record<string, (storage: Storage, path: string, other: string) => Promise<void>> = {
      missing: (storage, path) => storage.remove(path),
      swapped: async (storage, path, other) => {
        const content = await readBytes(storage, other);
        await storage.remove(path);
        await writeFile(storage, path, content);
      },
      cut: async (storage, path) => {
        const content = await readBytes(storage, path);
        await storage.remove(path);
        await writeFile(storage, path, content.subarray(0, content.byteLength - 64));
      },
      flipped: async (storage, path) => {
        const content = await readBytes(storage, path);
        await storage.remove(path);
        await writeFile(storage, path, content.with(4100, (content[4100] ?? 0) ^ 1));
      },
    };
    for (const [what, change] of Object.entries(spoil)) {
      const engine = await memoryEngine(undefined, { components: true, codec: "raw" });
      for (const step of [1, 2]) await save(engine, String(step), step, { step });
      const [one, two] = await Promise.all([engine.load(1), engine.load(2)]);
      const pathOf = (checkpoint: Checkpoint): string =>
        `${PARTS_DIRECTORY}/${
          checkpoint.parts.filter(({ name }) => name === "optimizer").map(partFileName)[0]
        }`;
      const [other, path] = [pathOf(one), pathOf(two)];
      await one.close();
      await two.close();
      await change(engine.storage, path, other);
      const { checkpoint, skipped } = await recover(engine);
      expect([what, checkpoint?.tag]).toEqual([what, "1"]);
      expect(skipped[0]?.reason).toContain('part "optimizer"');
      expect(skipped[0]?.tag).toBe("2");
      await checkpoint?.close();
      const aside = await quarantine(engine, skipped);
      expect(aside.moved.map(({ tag }) => tag)).toEqual(["2"]);
      // A checkpoint in quarantine keeps its parts: some of them may be saved.
      await save(engine, "3", 3, { step: 3 });
      const names = await partNames(engine.storage);
      expect(names).toHaveLength(what === "missing" ? 8 : 9);
    }
  });

  test("a part that was written with the same id by another save is not taken for this one", async () => {
    const engine = await memoryEngine(undefined, { components: ["model"], codec: "raw" });
    await save(engine, "a", 1);
    const twin = await memoryEngine(undefined, { components: ["model"], codec: "raw" });
    await save(twin, "a", 2);
    const [name] = await partNames(engine.storage);
    expect(await partNames(twin.storage)).toEqual([name as string]);
    const path = `${PARTS_DIRECTORY}/${name}`;
    await engine.storage.remove(path);
    await writeFile(engine.storage, path, await readBytes(twin.storage, path));
    const error = await errorOf(engine.load("a"));
    expect([error.code, error.message]).toEqual([
      "invalid_container",
      expect.stringContaining("its trailer's checksum is"),
    ]);
  });

  test("the next create removes parts that nothing names, and no others", async () => {
    const storage = new MemoryStorage();
    const engine = await memoryEngine(storage, { components: true });
    await save(engine, "1", 1);
    const own = await partNames(storage);
    // A save that was stopped between its parts and its index, of this run and of another one.
    const lost = await memoryEngine(undefined, { components: ["model"], random: counterRandom(50) });
    const foreign = await memoryEngine(undefined, {
      components: ["model"],
      random: counterRandom(60),
      runId: OTHER_RUN_ID,
    });
    for (const each of [lost, foreign]) {
      await save(each, "9", 3);
      const [name] = await partNames(each.storage);
      const path = `${PARTS_DIRECTORY}/${name}`;
      await writeFile(storage, path, await readBytes(each.storage, path));
    }
    const [foreignName] = await partNames(foreign.storage);
    await writeFile(storage, "0.cairn", bytes("not a container"));
    await engine.create("2");
    expect(await partNames(storage)).toHaveLength(own.length + 2);
    await engine.abort();
    await storage.remove("0.cairn");
    await engine.create("2");
    expect(await partNames(storage)).toEqual([...own, foreignName as string].sort());
    await engine.abort();
    const tomorrow = await memoryEngine(storage, { now: () => Date.now() + 2 * 24 * 60 * 60 * 1000 });
    await tomorrow.create("2");
    expect(await partNames(storage)).toEqual(own);
  });

  test("an index with a list of parts that no writer writes is refused", async () => {
    const engine = await memoryEngine(undefined, { components: true });
    await engine.create("x");
    const frozen = frozenTensors(modelTensors(1));
    const spoilt = Object.create(frozen);
    Object.defineProperty(spoilt, "manifest", {
      value: {
        ...frozen.manifest,
        parts: { files: [{ name: "../x", fileId: "0".repeat(32), byteLength: 9999, checksum: 1 }] },
      },
    });
    const single = await memoryEngine();
    await single.create("x");
    await expect(single.save(spoilt)).rejects.toThrow("is no name of a part");
    expect(await codeOf(engine.load("x"))).toBe("not_found");
  });
});
