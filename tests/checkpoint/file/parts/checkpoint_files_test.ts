import { describe, expect, test } from "bun:test";
import type { FileEngine } from "../../../../src/checkpoint/engine/file_engine.ts";
import { MirrorEngine } from "../../../../src/checkpoint/compose/mirror_engine.ts";
import { partFileName, PARTS_DIRECTORY } from "../../../../src/checkpoint/file/parts/part_files.ts";
import { quarantine } from "../../../../src/checkpoint/keep/quarantine.ts";
import { skipped } from "../../../../src/checkpoint/engine/summary.ts";
import { CairnError } from "../../../../src/base/errors.ts";
import { MemoryStorage } from "../../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../../src/storage/storage.ts";
import { HostTensor } from "../../../../src/tensor/host_tensor.ts";
import { HookedStorage } from "../../../helpers/hooked_storage.ts";
import { codeOf, counterRandom, memoryEngine } from "../../fixtures.ts";
import { frozenTensors } from "./frozen_tensors.ts";

function engineOn(storage: Storage, seed = 1): Promise<FileEngine> {
  return memoryEngine(storage, { components: true, random: counterRandom(seed), codec: "raw" });
}

async function saveStep(engine: FileEngine | MirrorEngine, tag: string, step: number): Promise<void> {
  await engine.create(tag, { overwrite: true });
  await engine.save(frozenTensors({ "model.w": HostTensor.from([step]) }, { provenance: { step } }));
  await engine.commit(tag);
}

async function stepIn(engine: FileEngine | MirrorEngine, tag: string): Promise<number[]> {
  const checkpoint = await engine.load(tag);
  try {
    await checkpoint.verify();
    return [...new Float32Array((await checkpoint.reader.read("model.w")).buffer)];
  } finally {
    await checkpoint.close();
  }
}

describe("opening a checkpoint of several files", () => {
  test("that is replaced meanwhile gives the new one, and one that is removed meanwhile is not found", async () => {
    for (const change of ["replaced", "removed"]) {
      const storage = new MemoryStorage();
      const writer = await engineOn(storage);
      await saveStep(writer, "last", 1);
      let isDone = false;
      const reader = await engineOn(
        new HookedStorage(storage, {
          before: async ({ op, path }) => {
            if (isDone || !op.startsWith("open") || !path.startsWith(PARTS_DIRECTORY)) return;
            isDone = true;
            await (change === "replaced" ? saveStep(writer, "last", 2) : writer.remove("last"));
          },
        }),
        7,
      );
      if (change === "replaced") expect(await stepIn(reader, "last")).toEqual([2]);
      else expect(await codeOf(reader.load("last"))).toBe("not_found");
      expect(isDone).toBe(true);
    }
  });

  test("goes on with another copy where a part of the best one is damaged or missing", async () => {
    for (const isMissing of [false, true]) {
      const storages = [new MemoryStorage(), new MemoryStorage()];
      const engines = await Promise.all(storages.map((storage, index) => engineOn(storage, index + 1)));
      const mirror = new MirrorEngine(engines);
      await saveStep(mirror, "a", 5);
      const [storage] = storages as [MemoryStorage];
      const [entry] = await storage.list(PARTS_DIRECTORY);
      const path = `${PARTS_DIRECTORY}/${entry?.name}`;
      const source = await storage.openRead(path);
      const content = new Uint8Array(source.byteLength);
      await source.read(0, content);
      await storage.remove(path);
      if (!isMissing) {
        const file = await storage.createExclusive(path);
        await file.write(content.with(4097, 1 ^ (content[4097] ?? 0)));
      }
      expect(await stepIn(mirror, "a")).toEqual([5]);
    }
  });

  test("a sound one that was about to be quarantined goes back with its parts", async () => {
    const engine = await engineOn(new MemoryStorage());
    await saveStep(engine, "a", 3);
    const error = new CairnError("checksum_mismatch", "it was damaged a moment ago");
    expect((await quarantine(engine, [skipped("a", engine.pathOf("a"), error)])).moved).toEqual([]);
    expect(await stepIn(engine, "a")).toEqual([3]);
  });

  test("the step is the one that was recorded, and only then the one that the tag says", async () => {
    const engine = await engineOn(new MemoryStorage());
    await saveStep(engine, "64", 8);
    const checkpoint = await engine.load("64");
    expect(checkpoint.step).toBe(8);
    expect(checkpoint.parts.map(partFileName)).toHaveLength(1);
    await checkpoint.close();
    await engine.create("65");
    await engine.save({ state: {} });
    await engine.commit("65");
    const plain = await engine.load("65");
    expect(plain.step).toBe(65);
    await plain.close();
  });
});
