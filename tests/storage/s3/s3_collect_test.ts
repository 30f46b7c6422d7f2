import { describe, expect, test } from "bun:test";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { Lease } from "../../../src/checkpoint/keep/evaluators/lease.ts";
import { retain } from "../../../src/checkpoint/keep/retention/retention.ts";
import { S3Client } from "../../../src/storage/s3/s3_client.ts";
import { parseS3Location } from "../../../src/storage/s3/s3_location.ts";
import { listObjects, putObject } from "../../../src/storage/s3/s3_objects.ts";
import { unfinishedUploads } from "../../../src/storage/s3/s3_upload.ts";
import { FakeS3 } from "../../helpers/fake_s3.ts";
import type { FaultyS3 } from "../../helpers/faulty_s3.ts";
import { realS3Test } from "../../helpers/real_s3.ts";
import { s3On } from "../../helpers/s3_fixture.ts";
import { S3Proxy } from "../../helpers/s3_proxy.ts";

const HOUR_MS = 3600 * 1000;

async function save(engine: FileEngine, tag: string, overwrite = false): Promise<void> {
  await engine.create(tag, { overwrite });
  await engine.save({ state: { tag }, provenance: { savedBy: "auto" } });
  await engine.commit(tag);
}

/** What killed saves leave: an object that no entry names, and an upload that nobody finishes. */
async function leaveBehind(store: FaultyS3): Promise<void> {
  const { endpoint, fetch } = store.connection;
  const credentials = { accessKeyId: "id", secretAccessKey: "secret" };
  const client = new S3Client(parseS3Location(store.location), {
    credentials,
    endpoint,
    ...fetch === undefined ? {} : { fetch },
  });
  await putObject(client, "data/an-orphan", new Uint8Array(10));
  await client.once({ method: "POST", key: "data/an-upload", query: { uploads: "" } });
}

async function leftIn(store: FaultyS3): Promise<{ orphan: boolean; uploads: number }> {
  const { endpoint, fetch } = store.connection;
  const client = new S3Client(parseS3Location(store.location), {
    credentials: { accessKeyId: "id", secretAccessKey: "secret" },
    endpoint,
    ...fetch === undefined ? {} : { fetch },
  });
  const { objects } = await listObjects(client, "data/");
  const uploads = await unfinishedUploads(client, "data/");
  return { orphan: objects.some(({ key }) => key === "data/an-orphan"), uploads: uploads.length };
}

/**
 * Young leftovers stay and old ones go, by the clock of the store.
 *
 * @param saysWhen Whether the store says when an upload was begun: moto gives a day of long ago for each.
 */
async function collectsAfterADay(store: FaultyS3, saysWhen: boolean): Promise<void> {
  const storage = await s3On(store);
  await save(await FileEngine.open(storage), "1");
  await leaveBehind(store);
  store.nowMs += 23 * HOUR_MS;
  expect(await storage.collect()).toEqual({ entries: 0, orphans: 0, uploads: saysWhen ? 0 : 1 });
  expect(await leftIn(store)).toEqual({ orphan: true, uploads: saysWhen ? 1 : 0 });
  store.nowMs += 2 * HOUR_MS;
  expect(await storage.collect()).toEqual({ entries: 0, orphans: 1, uploads: saysWhen ? 1 : 0 });
  expect(await leftIn(store)).toEqual({ orphan: false, uploads: 0 });
  expect(await (await FileEngine.open(await s3On(store))).list()).toEqual(["1"]);
}

describe("the collection of a bucket", () => {
  test("removes orphans and unfinished uploads when they are a day old", async () => {
    await collectsAfterADay(new FakeS3(), true);
  });

  realS3Test("removes them on a real server, too", async (target) => {
    const proxy = await S3Proxy.open(target);
    await collectsAfterADay(proxy.newStore(), false);
    await proxy.close();
  });

  test("goes by the store's clock, whatever this machine's says", async () => {
    const store = new FakeS3();
    await leaveBehind(store);
    const ahead = { now: () => store.nowMs + 1000 * HOUR_MS, sleep: () => new Promise<void>(() => {}) };
    const storage = await s3On(store, { clock: ahead });
    expect(await storage.collect()).toEqual({ entries: 0, orphans: 0, uploads: 0 });
  });

  test("keeps the last 16 entries, and what any of them names", async () => {
    const store = new FakeS3();
    const engine = await FileEngine.open(await s3On(store));
    const storage = await s3On(store);
    for (let step = 1; step <= 20; step++) await save(engine, String(step));
    const objects = (): number => store.keys.filter((key) => key.includes("/data/")).length;
    // As of a removal that was killed before its object went.
    const before = new Map(store.objects);
    await engine.remove("20");
    for (const [key, object] of before) if (key.includes("/data/")) store.objects.set(key, object);
    store.nowMs += 48 * HOUR_MS;
    expect(await storage.collect()).toEqual({ entries: 5, orphans: 0, uploads: 0 });
    expect(objects()).toBe(20);
    // Sixteen entries later none names it any more.
    for (let step = 21; step <= 36; step++) await save(engine, String(step));
    store.nowMs += 48 * HOUR_MS;
    expect(await storage.collect()).toMatchObject({ orphans: 1 });
    expect(objects()).toBe(35);
  });

  test("happens with the first commit of a process, and once a day", async () => {
    const store = new FakeS3();
    const engine = await FileEngine.open(await s3On(store));
    const isCollecting = (): boolean =>
      store.requests.splice(0).some(({ query, method }) => method === "GET" && query.has("uploads"));
    const seen: boolean[] = [];
    for (const hours of [0, 1, 22, 2]) {
      store.nowMs += hours * HOUR_MS;
      await save(engine, String(seen.length));
      seen.push(isCollecting());
    }
    expect(seen).toEqual([true, false, false, true]);
  });

  test("and retention leave what somebody holds a lease of", async () => {
    const store = new FakeS3();
    const engine = await FileEngine.open(await s3On(store));
    for (const tag of ["1", "2", "3"]) await save(engine, tag);
    const reader = await FileEngine.open(await s3On(store));
    const lease = await Lease.take(reader, "1", { holder: "a reader" });
    await retain(engine, "3", { last: 1 });
    store.nowMs += 48 * HOUR_MS;
    await (await s3On(store)).collect();
    expect(await reader.list()).toContain("1");
    const checkpoint = await reader.load("1");
    expect(await checkpoint.state()).toEqual({ tag: "1" });
    await checkpoint.close();
    await lease.release();
  });

  test("lets what was replaced or removed under a lease go when nobody holds one any more", async () => {
    const store = new FakeS3();
    const engine = await FileEngine.open(await s3On(store));
    for (const tag of ["1", "2", "3"]) await save(engine, tag);
    const objects = (): number => store.keys.filter((key) => key.includes("/data/")).length;
    const collectLater = async (): Promise<void> => {
      store.nowMs += 25 * HOUR_MS;
      for (const lease of leases) await lease.renew();
      await (await s3On(store)).collect();
    };
    const leases = [await Lease.take(engine, "1"), await Lease.take(engine, "2")];
    await save(engine, "1", true);
    await engine.remove("2");
    await engine.remove("3");
    expect([objects(), await engine.list()]).toEqual([3, ["1"]]);
    await collectLater();
    expect(objects()).toBe(3);
    await leases.pop()?.release();
    await collectLater();
    expect(objects()).toBe(2);
    // A lease that nobody renews for a day holds nothing.
    store.nowMs += 25 * HOUR_MS;
    expect(await (await s3On(store)).collect()).toMatchObject({ orphans: 1 });
    expect([objects(), await engine.list()]).toEqual([1, ["1"]]);
    await leases.pop()?.release();
  });

  test("keeps a part of a checkpoint while there is a lease beside it, whose name does not say of which", async () => {
    const store = new FakeS3();
    const storage = await s3On(store);
    const engine = await FileEngine.open(storage, { directory: "run" });
    await save(engine, "1");
    const part = "run/parts/weights-0123456789abcdef0123456789abcdef.cairn";
    const writer = await storage.createExclusive(part);
    await writer.write(new Uint8Array(10).fill(7));
    await writer.close();
    const lease = await Lease.take(engine, "1");
    await storage.remove(part);
    expect(await storage.list("run/parts")).toEqual([]);
    expect(await storage.list("")).toHaveLength(1);
    const [key = ""] = [...store.objects].find(([, { bytes }]) => bytes.byteLength === 10) ?? [];
    expect(key).toContain("/data/");
    await lease.release();
    await storage.collect();
    expect(store.objects.has(key)).toBe(false);
  });
});
