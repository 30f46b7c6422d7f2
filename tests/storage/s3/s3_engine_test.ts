import { describe, expect, test } from "bun:test";
import { engineConformance } from "../../../src/checkpoint/compose/engine_conformance.ts";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { FakeS3 } from "../../helpers/fake_s3.ts";
import { s3On } from "../../helpers/s3_fixture.ts";

describe("FileEngine over S3Storage", () => {
  const stores = new WeakMap<object, FakeS3>();
  const open = async (store: FakeS3): Promise<FileEngine> => {
    const engine = await FileEngine.open(await s3On(store), { chunkBytes: 4096 });
    stores.set(engine, store);
    return engine;
  };
  const checks = engineConformance({
    open: () => open(new FakeS3()),
    reopen: (engine) => open(stores.get(engine) ?? new FakeS3()),
  });
  for (const { name, run } of checks) test(name, run, 60_000);

  test("a save is one entry of the log and one object, beside the hint", async () => {
    const store = new FakeS3();
    const engine = await open(store);
    await engine.create("1");
    await engine.save({ state: { step: 1 } });
    const before = store.requests.length;
    await engine.commit("1");
    const writes = store.requests.slice(before).filter(({ method }) => method === "PUT").map(({ name }) =>
      name
    );
    expect(writes.map((name) => name.replace(/[0-9a-f]{32}/, "*"))).toEqual([
      "PUT data/*",
      "PUT log/0000000000000001",
      "PUT files/latest",
    ]);
  });
});
