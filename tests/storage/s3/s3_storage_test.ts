import { describe, expect, test } from "bun:test";
import { TieredEngine } from "../../../src/checkpoint/compose/tiered_engine.ts";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { S3Storage } from "../../../src/storage/s3/s3_storage.ts";
import { FakeS3 } from "../../helpers/fake_s3.ts";
import { s3On } from "../../helpers/s3_fixture.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { letTurnsPass, until } from "../../helpers/turns.ts";

const LARGE = 24 * 1024 * 1024;

/** Numbers that no codec makes small. */
function largeState(): { large: Uint8Array } {
  const large = new Uint8Array(LARGE);
  for (let start = 0; start < LARGE; start += 65_536) {
    crypto.getRandomValues(large.subarray(start, start + 65_536));
  }
  return { large };
}

describe("S3Storage", () => {
  test("has so many pieces on their way as it is told, and waits with more", async () => {
    const store = new FakeS3();
    const storage = await s3On(store, { partBytes: 5 << 20, partsInFlight: 2 });
    let underWay = 0;
    let most = 0;
    store.faults.before = async ({ query }) => {
      if (!query.has("partNumber")) return undefined;
      most = Math.max(most, ++underWay);
      await until(() => most === 2);
      // If there were to be a third, it would come now.
      await letTurnsPass();
      underWay--;
      return undefined;
    };
    const engine = await FileEngine.open(storage, { codec: "raw" });
    const state = largeState();
    await engine.create("1");
    await engine.save({ state });
    await engine.commit("1");
    expect(most).toBe(2);
    const checkpoint = await engine.load("1");
    expect(await checkpoint.state()).toEqual(state);
    await checkpoint.close();
  });

  test("a save that is aborted on its way leaves no object and no upload", async () => {
    const store = new FakeS3();
    // One at a time, so that the save has to wait for the answer.
    const storage = await s3On(store, { partBytes: 5 << 20, partsInFlight: 1 });
    const engine = await FileEngine.open(storage, { codec: "raw" });
    const controller = new AbortController();
    const reason = new Error("enough");
    store.faults.after = ({ query }) => {
      if (query.has("partNumber")) controller.abort(reason);
      return undefined;
    };
    await engine.create("1");
    const saving = engine.save({ state: largeState() }, undefined, { signal: controller.signal });
    expect(await saving.catch((error: unknown) => error)).toBe(reason);
    expect([store.keys.filter((key) => !key.includes("probe")), store.uploads.size]).toEqual([[], 0]);
  });

  test("reads of a checkpoint only what is asked for", async () => {
    const store = new FakeS3();
    const engine = await FileEngine.open(await s3On(store), { codec: "raw", verifyEvery: 0 });
    await engine.create("1");
    await engine.save({ state: { ...largeState(), small: new Float32Array([1, 2]) } });
    await engine.commit("1");
    let bytes = 0;
    store.faults.after = (_, response) => {
      bytes += Number(response.headers.get("content-length") ?? 0);
      return undefined;
    };
    const checkpoint = await engine.load("1");
    expect(await checkpoint.readObject("state/small")).toEqual(new Float32Array([1, 2]));
    await checkpoint.close();
    expect(bytes).toBeLessThan(4 * 1024 * 1024);
  });

  test("lists what is there, however many answers that takes", async () => {
    const store = new FakeS3();
    const engine = await FileEngine.open(await s3On(store));
    const tags = ["1", "2", "3", "4", "5"];
    for (const tag of tags) {
      await engine.create(tag);
      await engine.save({ state: { tag } });
      await engine.commit(tag);
    }
    store.pageLength = 2;
    const next = await FileEngine.open(await s3On(store));
    expect(await next.list()).toEqual(tags);
    expect((await recover(next)).checkpoint?.tag).toBe("5");
  });

  test("is the last tier behind memory, and what the next process recovers from", async () => {
    const store = new FakeS3();
    const bucket = await FileEngine.open(await s3On(store));
    const memory = await FileEngine.open(new MemoryStorage(), { runId: bucket.runId });
    const tiers = new TieredEngine([{ engine: memory, keep: { last: 1 } }, { engine: bucket, every: 2 }]);
    for (const step of [1, 2, 3, 4, 5]) {
      await tiers.create(step);
      await tiers.save({ state: { step }, provenance: { step, savedBy: "auto" } });
      await tiers.commit(step);
    }
    const next = await FileEngine.open(await s3On(store));
    expect((await next.list()).length).toBeGreaterThan(1);
    const { checkpoint } = await recover(next);
    expect(["4", "5"]).toContain(checkpoint?.tag as string);
    await checkpoint?.close();
  });

  test("says what is wrong with a location or a number before any request", async () => {
    for (const location of ["s3://", "s3:///runs", "s3://bucket/a//b", "s3://bucket/../b"]) {
      expect(await thrownBy(() => S3Storage.open(location))).toBeInstanceOf(TypeError);
    }
    expect(await thrownBy(() => S3Storage.open("s3://bucket", { partBytes: 1024 }))).toBeInstanceOf(
      RangeError,
    );
  });
});
