import { describe, expect, test } from "bun:test";
import { recover } from "../../src/checkpoint/keep/recovery.ts";
import { retain } from "../../src/checkpoint/keep/retention/retention.ts";
import { DurableFile } from "../../src/storage/durable_file.ts";
import type { Storage } from "../../src/storage/storage.ts";
import { POWER_CUTS, PowerCutStorage } from "../helpers/power_cut_storage.ts";
import { bytes, readFile, writeFile } from "../storage/storage_contract.ts";
import { atEveryOperation, FaultStorage, memoryEngine, saveState } from "./fixtures.ts";

type Save = (storage: Storage, text: string) => Promise<void>;

/** Saves "old" undisturbed, then "new" with a power cut at each operation. Returns every violation. */
async function failuresOf(save: Save): Promise<string[]> {
  const failures: string[] = [];
  await atEveryOperation(async (at) => {
    const disk = new PowerCutStorage();
    const peaceful = await DurableFile.create(disk, "a", { randomName: "old" });
    await peaceful.write(bytes("old"));
    await peaceful.commit();
    const storage = new FaultStorage(disk);
    storage.crashAt(at);
    const outcome = await save(storage, "new").then(() => "committed", () => "crashed");
    for (const cut of POWER_CUTS) {
      const found = await readFile(await disk.after(cut), "a").catch(() => "none");
      const isRight = outcome === "committed" ? found === "new" : found === "old" || found === "new";
      if (!isRight) failures.push(`${outcome} at ${at}, disk has ${cut}: ${found}`);
    }
    return storage;
  });
  return failures;
}

const durably: Save = async (storage, text) => {
  const file = await DurableFile.create(storage, "a", { overwrite: true, randomName: "new" });
  await file.write(bytes(text));
  await file.commit({ verify: true });
};

/** Protocols that other systems have, and that lose checkpoints. */
const BAD: Record<string, Save> = {
  "in place": async (storage, text) => {
    await storage.remove("a");
    await writeFile(storage, "a", bytes(text));
    await storage.syncDirectory("");
  },
  "without syncing the file": async (storage, text) => {
    await writeFile(storage, ".tmp-a", bytes(text));
    await storage.move(".tmp-a", "a");
    await storage.syncDirectory("");
  },
  "without syncing the directory": async (storage, text) => {
    const writer = await storage.createExclusive(".tmp-a");
    await writer.write(bytes(text));
    await writer.sync();
    await storage.move(".tmp-a", "a");
  },
  "delete before rename": async (storage, text) => {
    const writer = await storage.createExclusive(".tmp-a");
    await writer.write(bytes(text));
    await writer.sync();
    await storage.remove("a");
    await storage.syncDirectory("");
    await storage.move(".tmp-a", "a");
    await storage.syncDirectory("");
  },
};

describe("a power cut", () => {
  test("at any operation of a durable write leaves the old file or the new one, and the new one once it is committed", async () => {
    expect(await failuresOf(durably)).toEqual([]);
  });

  for (const [name, save] of Object.entries(BAD)) {
    test(`is found by this test in a protocol that is known to be wrong:  ${name}`, async () => {
      expect((await failuresOf(save)).length).toBeGreaterThan(0);
    });
  }

  test("at any operation of a save, its hint and its clean-up leaves a checkpoint to go on from", async () => {
    let images = 0;
    await atEveryOperation(async (at) => {
      const disk = new PowerCutStorage();
      const before = await memoryEngine(disk, { codec: "raw" });
      for (const step of [1, 2]) await saveState(before, step, { step });
      const storage = new FaultStorage(disk);
      const engine = await memoryEngine(storage, { codec: "raw" });
      storage.crashAt(at);
      let isCommitted = false;
      await saveState(engine, 3, { step: 3 }).then(async () => {
        isCommitted = true;
        await retain(engine, "3", { last: 1 });
      }).catch(() => {});
      for (const cut of POWER_CUTS) {
        images++;
        const { checkpoint } = await recover(await memoryEngine(await disk.after(cut)));
        const step = checkpoint?.step ?? 0;
        expect(`${at} ${cut}: ${step >= (isCommitted ? 3 : 2)}`).toBe(`${at} ${cut}: true`);
        expect(await checkpoint?.state()).toEqual({ step });
        await checkpoint?.close();
      }
      return storage;
    });
    expect(images).toBeGreaterThan(100);
  });
});
