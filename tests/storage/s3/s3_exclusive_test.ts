import { describe, expect, test } from "bun:test";
import { CairnError } from "../../../src/base/errors.ts";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import type { WriterLockOptions } from "../../../src/checkpoint/engine/lock/writer_lock_options.ts";
import type { S3Storage } from "../../../src/storage/s3/s3_storage.ts";
import { FakeS3 } from "../../helpers/fake_s3.ts";
import { s3On } from "../../helpers/s3_fixture.ts";
import { thrownBy } from "../../helpers/thrown.ts";

/** A process on a machine of its own, of which the others know nothing. */
function onMachine(host: string, options: WriterLockOptions = {}): WriterLockOptions {
  return { ...options, identity: { pid: 1, mark: "", host, machineId: host } };
}

async function engineOf(store: FakeS3, exclusive: WriterLockOptions): Promise<FileEngine> {
  return await FileEngine.open(await s3On(store), { exclusive });
}

async function save(engine: FileEngine, tag: string): Promise<void> {
  await engine.create(tag);
  await engine.save({ state: { tag } });
  await engine.commit(tag);
}

const TAKE_OVER: WriterLockOptions = { isOwnerDead: () => true };

describe("an exclusive engine in a bucket", () => {
  test("keeps out one of another machine until it is said to be dead", async () => {
    const store = new FakeS3();
    await save(await engineOf(store, onMachine("a")), "1");
    const other = await thrownBy(async () => await (await engineOf(store, onMachine("b"))).create("2"));
    expect(other).toMatchObject({ name: "CairnError", code: "locked" });
    await save(await engineOf(store, onMachine("c", TAKE_OVER)), "3");
    expect(await (await engineOf(store, {})).list()).toEqual(["1", "3"]);
  });

  test("commits nothing after another one took over, whichever request it slept at", async () => {
    let slept = 0;
    for (let at = 0;; at++) {
      const store = new FakeS3();
      const sleeper = await engineOf(store, onMachine("a"));
      await save(sleeper, "before");
      const from = store.requests.length;
      let isTakenOver = false;
      store.faults.before = async ({ index }) => {
        if (isTakenOver || index !== from + at) return undefined;
        isTakenOver = true;
        await save(await engineOf(store, onMachine("b", TAKE_OVER)), "taken-over");
        return undefined;
      };
      const error: unknown = await save(sleeper, "late").then(() => undefined, (cause: unknown) => cause);
      delete store.faults.before;
      if (!isTakenOver) break;
      slept++;
      const tags = await (await engineOf(store, {})).list();
      // What it does after its commit may be taken over behind it.
      const isCommitted = tags.includes("late");
      expect([at, isCommitted, tags.filter((tag) => tag !== "late")]).toEqual([
        at,
        error === undefined,
        ["before", "taken-over"],
      ]);
      if (error !== undefined) expect([at, (error as CairnError).code]).toEqual([at, "locked"]);
    }
    expect(slept).toBeGreaterThan(10);
  });

  test("says by whom, where and what to do, and leaves no object", async () => {
    const store = new FakeS3();
    const sleeper = await engineOf(store, onMachine("a"));
    await sleeper.create("late");
    await sleeper.save({ state: { tag: "late" } });
    const storage = sleeper.storage as S3Storage;
    // Only the claim: its lock is still there.
    await (await s3On(store)).claim("", "another");
    const error = await thrownBy(() => sleeper.commit("late")) as CairnError;
    expect(error.code).toBe("locked");
    expect(error.message).toContain(
      'Cannot commit "s3://bucket/runs/a/late.cairn": another process has taken over "s3://bucket/runs/a/", ' +
        "as entry 2 of its log says; nothing was changed. Make sure that one process writes there",
    );
    await sleeper.abort();
    expect(await storage.list("", { only: (name) => name.endsWith(".cairn") })).toEqual([]);
    expect(store.keys.filter((key) => key.includes("/data/"))).toEqual([]);
  });

  test("that gave its lock back writes beside others again, and so do those that never had one", async () => {
    const store = new FakeS3();
    const storage = await s3On(store);
    const first = await FileEngine.open(storage, { exclusive: onMachine("a") });
    await save(first, "1");
    await first.cleanup();
    await save(await engineOf(store, onMachine("b")), "2");
    await save(await FileEngine.open(storage), "3");
    expect(await (await engineOf(store, {})).list()).toEqual(["1", "2", "3"]);
  });

  test("keeps others out of its own directory only", async () => {
    const store = new FakeS3();
    const storage = await s3On(store);
    const open = async (directory: string, host: string): Promise<FileEngine> =>
      await FileEngine.open(storage, { directory, exclusive: onMachine(host) });
    const engines = [await open("a", "one"), await open("ab", "two")];
    for (const engine of engines) await save(engine, "1");
    for (const engine of engines) await save(engine, "2");
    for (const engine of engines) expect(await engine.list()).toEqual(["1", "2"]);
  });
});
