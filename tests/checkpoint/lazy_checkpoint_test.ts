import { describe, expect, test } from "bun:test";
import type { FileEngine } from "../../src/checkpoint/engine/file_engine.ts";
import { findCheckpoint } from "../../src/checkpoint/lazy_checkpoint.ts";
import { loadTensor } from "../../src/checkpoint/engine/load_tensor.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { Storage } from "../../src/storage/storage.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { writeFile } from "../storage/storage_contract.ts";
import { codeOf, errorOf, FaultStorage, memoryEngine, saveState } from "./fixtures.ts";

/** A checkpoint with tables whose names contain each other. */
async function tables(storage: Storage = new MemoryStorage()): Promise<FileEngine> {
  const engine = await memoryEngine(storage, { codec: "raw", chunkBytes: 4096 });
  const table = (value: number): HostTensor =>
    HostTensor.from(new Float32Array(2000).fill(value), [1000, 2], "f32");
  await engine.create(1);
  await engine.save({ state: { user: table(1), user_long: table(2), long_user: table(3) } });
  await engine.commit(1);
  return engine;
}

/** The values that occur. */
function valuesOf(tensor: HostTensor): number[] {
  return [...new Set(Array.from(tensor.toArray(), Number))];
}

describe("findCheckpoint", () => {
  test("TW-05 finds the newest or the one of a step, and loads nothing until it is opened", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const engine = await memoryEngine(storage);
    for (const step of [9, 10]) await saveState(engine, step, { step });
    const newest = await findCheckpoint(engine);
    expect(newest?.path).toBe("memory:10.cairn");
    expect((await findCheckpoint(engine, { step: 9 }))?.path).toBe("memory:9.cairn");
    expect(storage.openHandles).toBe(0);
    const before = storage.operations.length;
    const checkpoint = await newest?.open();
    expect(storage.operations[before]).toEqual({ op: "openRead", path: "10.cairn" });
    expect(await checkpoint?.state()).toEqual({ step: 10 });
    await checkpoint?.close();
  });

  test("TW-05 is undefined when there is no checkpoint and missingOk is set, and an error otherwise", async () => {
    const engine = await memoryEngine();
    expect(await findCheckpoint(engine, { missingOk: true })).toBeUndefined();
    expect(await codeOf(findCheckpoint(engine))).toBe("no_checkpoint");
    await saveState(engine, 1, { n: 1 });
    expect(await codeOf(findCheckpoint(engine, { step: 2, missingOk: true }))).toBe("no_checkpoint");
  });

  test("TW-05 says so when the checkpoint was deleted before it is opened", async () => {
    const engine = await memoryEngine();
    await saveState(engine, 1, { n: 1 });
    const found = await findCheckpoint(engine);
    await engine.remove("1");
    expect(await codeOf(found?.open() ?? Promise.resolve())).toBe("not_found");
  });
});

describe("loadTensor", () => {
  test("TW-06 reads the one tensor of exactly that name, in place", async () => {
    const engine = await tables();
    const into = HostTensor.from(new Float32Array(2000), [1000, 2], "f32");
    const { bytes } = into;
    await (await findCheckpoint(engine))?.loadTensor("state:user", into);
    expect(into.bytes).toBe(bytes);
    expect(valuesOf(into)).toEqual([1]);
  });

  test("TW-06 a part of a name is not_found, and no tensor is changed", async () => {
    const checkpoint = await (await tables()).load(1);
    const into = HostTensor.from(new Float32Array(2000).fill(7), [1000, 2], "f32");
    for (const name of ["user", "state:us", "state:", "", "state:USER"]) {
      expect([name, await codeOf(loadTensor(checkpoint, name, into))]).toEqual([name, "not_found"]);
    }
    expect(valuesOf(into)).toEqual([7]);
    await checkpoint.close();
  });

  test("TW-06 another shape or dtype is a mismatch that names both", async () => {
    const checkpoint = await (await tables()).load(1);
    const flat = HostTensor.from(new Float32Array(2000), [2000], "f32");
    const error = await errorOf(loadTensor(checkpoint, "state:user", flat));
    expect(error.code).toBe("state_mismatch");
    expect(error.message).toBe(
      'Cannot load "state:user" of checkpoint "1" (memory:1.cairn): it is f32 [1000, 2], ' +
        "and what it is to be read into is f32 [2000]",
    );
    const whole = HostTensor.from(new Int32Array(2000), [1000, 2], "i32");
    expect(await codeOf(loadTensor(checkpoint, "state:user", whole))).toBe("state_mismatch");
    await checkpoint.close();
  });

  test("TW-06 damage elsewhere does not matter, and damage of the tensor leaves the target as it was", async () => {
    const engine = await tables();
    const reader = await engine.storage.openRead("1.cairn");
    const content = new Uint8Array(reader.byteLength);
    await reader.read(0, content);
    await engine.remove("1");
    // In the last of the three tables, each of which takes two chunks.
    const at = 4096 + 2 * 8192 + 100;
    content[at] = (content[at] ?? 0) ^ 1;
    await writeFile(engine.storage, "1.cairn", content);
    const checkpoint = await engine.load(1);
    const outcomes: string[] = [];
    for (const name of ["state:user", "state:user_long", "state:long_user"]) {
      const into = HostTensor.from(new Float32Array(2000).fill(7), [1000, 2], "f32");
      const outcome = await loadTensor(checkpoint, name, into).then(
        () => "loaded",
        (error) => String(error.code),
      );
      outcomes.push(`${outcome} ${valuesOf(into)}`);
    }
    await checkpoint.close();
    expect(outcomes).toEqual(["loaded 1", "loaded 2", "checksum_mismatch 7"]);
  });
});
