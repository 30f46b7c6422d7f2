import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import { TieredEngine } from "../../../src/checkpoint/compose/tiered_engine.ts";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { FakeS3 } from "../../helpers/fake_s3.ts";
import { s3On } from "../../helpers/s3_fixture.ts";
import { thrownBy } from "../../helpers/thrown.ts";

interface Tiers {
  readonly directory: string;
  readonly store: FakeS3;
  readonly tiers: TieredEngine;
  readonly bucket: FileEngine;
}

/** Memory and the disk at every save, the bucket at every tenth. */
async function withTiers(body: (tiers: Tiers) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "cairn-tiers-"));
  const store = new FakeS3();
  try {
    const bucket = await FileEngine.open(await s3On(store));
    const disk = await FileEngine.open(directory, { runId: bucket.runId });
    const memory = await FileEngine.open(new MemoryStorage(), { runId: bucket.runId });
    const tiers = new TieredEngine([
      { engine: memory, keep: { last: 1 } },
      { engine: disk, every: 1, keep: { last: 2 } },
      { engine: bucket, every: 10, keep: { last: 5 } },
    ]);
    await body({ directory, store, tiers, bucket });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function save(tiers: TieredEngine, step: number): Promise<void> {
  await tiers.create(step);
  await tiers.save({ state: { step } }, undefined, {});
  await tiers.commit(step);
}

async function recoveredTag(engine: FileEngine): Promise<string | undefined> {
  const { checkpoint } = await recover(engine);
  await checkpoint?.close();
  return checkpoint?.tag;
}

describe("memory, a disk and a bucket as tiers", () => {
  test("the disk has every save and the bucket every tenth; whoever lost the disk goes on from the bucket", async () => {
    await withTiers(async ({ tiers, directory, store }) => {
      for (let step = 1; step <= 25; step++) await save(tiers, step);
      const [disk, bucket] = [await FileEngine.open(directory), await FileEngine.open(await s3On(store))];
      expect([await disk.list(), await bucket.list()]).toEqual([["24", "25"], ["1", "11", "21"]]);
      expect(await recoveredTag(disk)).toBe("25");
      expect(await recoveredTag(bucket)).toBe("21");
    });
  });

  test("a save that the bucket does not take fails, and the next one goes there", async () => {
    await withTiers(async ({ tiers, store, directory, bucket }) => {
      for (let step = 1; step <= 10; step++) await save(tiers, step);
      store.faults.before = () => store.error(403, "AccessDenied");
      expect(await thrownBy(() => save(tiers, 11))).toMatchObject({ code: "storage_failed" });
      delete store.faults.before;
      await tiers.abort();
      expect(await (await FileEngine.open(directory)).list()).toEqual(["10", "9"].sort());
      await save(tiers, 12);
      expect(await bucket.list()).toEqual(["1", "12"]);
    });
  });

  test("saves that are not the bucket's turn ask it nothing, and know what it has from its own", async () => {
    await withTiers(async ({ tiers, store, directory }) => {
      await save(tiers, 1);
      store.requests.length = 0;
      await save(tiers, 2);
      expect(store.requests).toEqual([]);
      store.faults.before = () => store.error(403, "AccessDenied");
      for (let step = 3; step <= 9; step++) await save(tiers, step);
      expect((await (await FileEngine.open(directory)).list()).sort()).toEqual(["8", "9"]);
      // The other tiers have it no more.
      expect(await thrownBy(() => tiers.create(1))).toMatchObject({ code: "already_exists" });
      expect(store.requests).toEqual([]);
    });
  });
});
