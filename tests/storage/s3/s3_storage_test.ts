import { Buffer } from "node:buffer";
import { describe, expect, test } from "bun:test";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { S3Storage } from "../../../src/storage/s3/s3_storage.ts";
import { FakeS3 } from "../../helpers/fake_s3.ts";
import type { FakeRequest } from "../../helpers/faulty_s3.ts";
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
    const { large } = await checkpoint.state() as { large: Uint8Array };
    // As a comparison of values it takes a minute in Deno.
    expect(Buffer.compare(large, state.large)).toBe(0);
    await checkpoint.close();
  });

  test("says how far a save is, to its end", async () => {
    const store = new FakeS3();
    const engine = await FileEngine.open(await s3On(store), { codec: "raw" });
    const seen: { done: number; total: number }[] = [];
    const onProgress = ({ done, total }: { done: number; total: number }): void =>
      void seen.push({ done, total });
    await engine.create("1");
    await engine.save({ state: largeState() }, undefined, { onProgress });
    await engine.commit("1");
    expect(seen.length).toBeGreaterThan(2);
    expect(seen.map(({ done }) => done)).toEqual(seen.map(({ done }) => done).sort((a, b) => a - b));
    expect(seen.at(-1)).toEqual({ done: LARGE, total: LARGE });
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

  test("gives up an answer that never comes and a body that stops, and asks again", async () => {
    const store = new FakeS3();
    const engine = await FileEngine.open(await s3On(store));
    await engine.create("1");
    await engine.save({ state: { large: new Float32Array(100_000).map((_, index) => Math.sin(index)) } });
    await engine.commit("1");
    for (const half of [false, true]) {
      let stalled = 0;
      store.faults.after = (request, response) => {
        // Of a range: what was read so far comes, and then nothing.
        if (stalled > 0 || !request.name.startsWith("GET data/")) return undefined;
        stalled++;
        setTimeout(() => store.passTime(), 10);
        if (!half) return new Promise<Response>(() => {});
        const body = new ReadableStream<Uint8Array>({
          start: (stream) => stream.enqueue(new Uint8Array(100)),
        });
        return new Response(body, { status: response.status, headers: response.headers });
      };
      const checkpoint = await (await FileEngine.open(await s3On(store))).load("1");
      await checkpoint.verify();
      await checkpoint.close();
      expect([half, stalled]).toEqual([half, 1]);
    }
  });

  test("says for how long nothing was heard where the store stays silent", async () => {
    const store = new FakeS3();
    const storage = await s3On(store, { timeoutMs: 30_000, attempts: 2 });
    store.faults.before = () => {
      setTimeout(() => store.passTime());
      return new Promise<Response>(() => {});
    };
    const error = await thrownBy(() => storage.openRead("1.cairn"));
    expect(error).toMatchObject({ code: "storage_failed" });
    expect((error as Error).message).toContain("nothing was heard for 30000 ms); check the network");
    expect(store.requests.length).toBe(2);
  });

  test("takes the store's time where this machine's clock is wrong", async () => {
    const store = new FakeS3();
    const isRight = ({ headers }: FakeRequest): boolean => {
      const [, y, mo, d, h, mi, s] = /^(....)(..)(..)T(..)(..)(..)Z$/.exec(headers.get("x-amz-date") ?? "") ??
        [];
      const saidMs = Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`);
      return Math.abs(saidMs - store.nowMs) < 15 * 60 * 1000;
    };
    store.faults.before = (request) =>
      isRight(request) ? undefined : store.error(403, "RequestTimeTooSkewed");
    const clock = {
      now: () => store.nowMs - 7200_000,
      sleep: (ms: number, signal?: AbortSignal) => ms <= 5000 ? Promise.resolve() : store.waitLong(signal),
    };
    const engine = await FileEngine.open(await s3On(store, { clock }));
    await engine.create("1");
    await engine.save({ state: {} });
    await engine.commit("1");
    expect(await engine.list()).toEqual(["1"]);
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
