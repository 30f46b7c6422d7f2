import { describe, expect, test } from "bun:test";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { FakeS3 } from "../../helpers/fake_s3.ts";
import { s3On } from "../../helpers/s3_fixture.ts";

async function save(engine: FileEngine, tag: string): Promise<void> {
  await engine.create(tag);
  await engine.save({ state: { tag } });
  await engine.commit(tag);
}

/** What was asked of the store since the last time, with the prefix of lists, and without what is random. */
function asked(store: FakeS3): string[] {
  return store.requests.splice(0).map(({ method, name, query }) =>
    (query.has("list-type") ? `LIST ${query.get("prefix")?.replace("runs/a/", "")}` : name ?? method)
      .replace(/[0-9a-f]{32}/, "*").replace(/0{10,}/, "")
  );
}

describe("requests to a bucket", () => {
  const withSaved = async (...tags: string[]): Promise<{ store: FakeS3; engine: FileEngine }> => {
    const store = new FakeS3();
    const engine = await FileEngine.open(await s3On(store), { verifyEvery: 0 });
    for (const tag of tags) await save(engine, tag);
    asked(store);
    return { store, engine };
  };

  test("a save asks what is there, and writes the bytes, the entry and the hint, with one look in between", async () => {
    const { store, engine } = await withSaved("1");
    await engine.create("2");
    expect(asked(store).sort()).toEqual(["GET files/latest", "LIST files/", "LIST log/", "LIST log/"]);
    await engine.save({ state: { step: 2 } });
    expect(asked(store)).toEqual([]);
    await engine.commit("2");
    expect(asked(store)).toEqual(["PUT data/*", "PUT log/2", "LIST log/", "PUT files/latest"]);
  });

  test("two of what is asked at the start are under way at once", async () => {
    const { store, engine } = await withSaved("1");
    let [underWay, most] = [0, 0];
    store.faults.before = async () => {
      most = Math.max(most, ++underWay);
      await new Promise((resolve) => setTimeout(resolve, 1));
      underWay--;
      return undefined;
    };
    await engine.create("2");
    expect(most).toBe(2);
  });

  test("a commit that comes long after the last look looks again first", async () => {
    const { store, engine } = await withSaved("1");
    await engine.create("2");
    await engine.save({ state: { step: 2 } });
    asked(store);
    store.nowMs += 60_000;
    await engine.commit("2");
    expect(asked(store)).toEqual(["PUT data/*", "LIST log/", "PUT log/2", "LIST log/", "PUT files/latest"]);
  });

  test("an overwrite looks for leases once the name is another file's", async () => {
    const { store, engine } = await withSaved("1");
    await engine.create("1", { overwrite: true });
    await engine.save({ state: { step: 2 } });
    asked(store);
    await engine.commit("1");
    const requests = asked(store).slice(2);
    expect(requests).toEqual([
      "PUT data/*",
      "PUT log/2",
      "LIST log/",
      "LIST files/leases/1@",
      "DELETE data/*",
      "PUT files/latest",
    ]);
  });

  test("a commit on a look that others have left far behind is made anew, and what was wrong by then is right", async () => {
    const { store, engine } = await withSaved("1");
    await engine.create("2");
    await engine.save({ state: { tag: "2" } });
    const other = await s3On(store);
    const others = await FileEngine.open(other);
    for (let step = 101; step <= 120; step++) await save(others, String(step));
    await other.collect();
    expect(store.keys.some((key) => key.endsWith("log/0000000000000002"))).toBe(false);
    await engine.commit("2");
    expect((await others.list()).sort()).toContain("2");
    expect(await others.list()).toHaveLength(22);
    // Somebody else removed it since this process looked.
    await others.remove("120");
    await engine.create("120");
    await engine.save({ state: { tag: "120" } });
    await engine.commit("120");
    expect(await others.list()).toContain("120");
  });
});
