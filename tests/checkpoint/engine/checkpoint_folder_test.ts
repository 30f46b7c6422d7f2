import { describe, expect, test } from "bun:test";
import { requireFolder } from "../../../src/checkpoint/engine/checkpoint_folder.ts";
import { DecoupledEngine } from "../../../src/checkpoint/compose/decoupled_engine.ts";
import type { Engine } from "../../../src/checkpoint/engine/engine.ts";
import { MirrorEngine } from "../../../src/checkpoint/compose/mirror_engine.ts";
import { TieredEngine } from "../../../src/checkpoint/compose/tiered_engine.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { retain } from "../../../src/checkpoint/keep/retention/retention.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { bytes, writeFile } from "../../storage/storage_contract.ts";
import { codeOf, errorOf, fileNames, memoryEngine, saveState } from "../fixtures.ts";

/** Does what another engine does, and has no folder. */
function hidden(inner: Engine): Engine {
  return new Proxy(inner, {
    get(target, key) {
      if (key === "folders") return [];
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

describe("an engine without a folder", () => {
  test("recovers and retains, but counts no failures", async () => {
    const inner = await memoryEngine();
    const engine = hidden(inner);
    for (const step of [1, 2, 3]) await saveState(inner, step, { step }, { step });
    for (let attempt = 0; attempt < 3; attempt++) {
      const { checkpoint, skipped, confirm } = await recover(engine, { maxFailures: 1 });
      expect([checkpoint?.step, skipped]).toEqual([3, []]);
      await checkpoint?.close();
      if (attempt === 2) await confirm();
    }
    expect((await retain(engine, "3", { last: 1 })).deleted).toEqual(["1", "2"]);
    expect(await engine.list()).toEqual(["3"]);
  });

  test("cannot quarantine anything, which is an error", async () => {
    const storage = new MemoryStorage();
    const engine = hidden(await memoryEngine(storage));
    await writeFile(storage, "1.cairn", bytes("rubbish"));
    expect(await codeOf(recover(engine, { quarantinesDamaged: true }))).toBe("unsupported");
    expect(await fileNames(storage)).toEqual(["1.cairn"]);
  });
});

describe("the folders of an engine", () => {
  test("are its directory, also through engines around it", async () => {
    const storage = new MemoryStorage();
    const engine = await memoryEngine(storage, { directory: "runs/a" });
    const wrapped = new DecoupledEngine(new DecoupledEngine(engine));
    for (const each of [engine, wrapped]) expect(each.folders).toEqual([{ storage, directory: "runs/a" }]);
  });

  test("are those of all engines of a group, first that of the engine that names its checkpoints", async () => {
    const [a, b] = [await memoryEngine(), await memoryEngine()];
    const storagesOf = ({ folders }: Engine) => folders.map(({ storage }) => storage);
    expect(storagesOf(new MirrorEngine([a, b]))).toEqual([a.storage, b.storage]);
    const tiers = new TieredEngine([{ engine: a }, { engine: b }]);
    expect(storagesOf(new DecoupledEngine(tiers))).toEqual([b.storage, a.storage]);
    expect(tiers.location).toBe(b.location);
  });

  test("are an error where one is needed and there is none", async () => {
    const engine = hidden(await memoryEngine());
    const { code, message } = await errorOf(Promise.resolve().then(() => requireFolder(engine)));
    expect([code, message]).toEqual([
      "unsupported",
      'The engine "file" does not say in which storage its checkpoints lie; give it the field folders',
    ]);
  });
});
