import { afterAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { loadInto } from "./load_into.ts";
import { openCheckpoint } from "../../src/checkpoint/file/open_path.ts";
import { Snapshot } from "../../src/checkpoint/snapshot.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { codeOf, contentsOf, fillStore, memoryEngine, smallStore } from "./fixtures.ts";

const root = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-path-snapshot-"));

afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

async function errorFrom(call: () => unknown): Promise<Error> {
  try {
    await call();
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError);
    return error as Error;
  }
  throw new Error("expected a TypeError");
}

describe("new Snapshot(path)", () => {
  test("saves what it is given into that one file, and closing makes it durable", async () => {
    for (const target of [path.join(root, "a", "best"), pathToFileURL(path.join(root, "b", "best.cairn"))]) {
      const snapshot = new Snapshot(target);
      const state = { epoch: 1, curve: new Float32Array([1, 2]) };
      await snapshot.save(state);
      state.epoch = 2;
      await snapshot.close();
      expect(await Snapshot.load(target)).toEqual({ epoch: 1, curve: new Float32Array([1, 2]) });
    }
    expect(fs.readdirSync(path.join(root, "a"))).toEqual(["best.cairn"]);
    expect(fs.readdirSync(path.join(root, "b"))).toEqual(["best.cairn"]);
  });

  test("await using waits for the save, and tells of its failure", async () => {
    const file = path.join(root, "using");
    {
      await using snapshot = new Snapshot(file);
      await snapshot.save({ epoch: 7 });
    }
    expect(await Snapshot.load(file)).toEqual({ epoch: 7 });
    const failing = async (): Promise<void> => {
      await using snapshot = new Snapshot(file);
      await snapshot.save({ epoch: 8 });
    };
    // It is there from before.
    expect(await codeOf(failing())).toBe("already_exists");
    expect(await Snapshot.load(file)).toEqual({ epoch: 7 });
  });

  test("replaces its own file, and one from before only when it is told to", async () => {
    const file = path.join(root, "own");
    const first = new Snapshot(file);
    await first.save({ epoch: 1 });
    await (await first.save({ epoch: 2 })).wait();
    await (await first.save({ epoch: 3 })).wait();
    await first.close();
    expect(await Snapshot.load(file)).toEqual({ epoch: 3 });
    const second = new Snapshot(file);
    expect(await codeOf((await second.save({ epoch: 4 })).wait())).toBe("already_exists");
    await (await second.save({ epoch: 5 }, { overwrite: true })).wait();
    await second.close();
    expect(await Snapshot.load(file)).toEqual({ epoch: 5 });
    expect(fs.readdirSync(root)).toContain("own.cairn");
  });

  gpuTest("takes a store, or something with a state of its own", async (gpu) => {
    const file = path.join(root, "store");
    const store = smallStore(gpu);
    fillStore(store, 1);
    const saved = await contentsOf(store);
    const snapshot = new Snapshot(file);
    await snapshot.save(store);
    fillStore(store, 2);
    await snapshot.close();
    const checkpoint = await openCheckpoint(file);
    await loadInto(store, checkpoint.reader);
    await checkpoint.close();
    expect(await contentsOf(store)).toEqual(saved);
    await store.close();

    const model = { stateDict: () => ({ weight: 1 }), loadStateDict: (): void => {} };
    await using other = new Snapshot(path.join(root, "stateful"));
    await (await other.save(model)).wait();
    expect(await Snapshot.load(path.join(root, "stateful"))).toEqual({ model: { weight: 1 } });
  });

  test("a call that belongs to another kind of snapshot is refused, and the error says what to do", async () => {
    const file = new Snapshot(path.join(root, "mixed"));
    expect((await errorFrom(() => file.save(1))).message).toBe(
      'A snapshot of the one file "mixed.cairn" has no steps; pass what is to be saved: save(modelState)',
    );
    expect((await errorFrom(() => file.save(null as never))).message).toContain(
      "A model state is a TensorStore",
    );
    expect((await errorFrom(() => file.restore("x"))).message).toContain("use Snapshot.load");
    const engine = await memoryEngine();
    const run = new Snapshot(engine, { epoch: 1 });
    expect((await errorFrom(() => run.save({ epoch: 1 }))).message).toBe(
      "This snapshot has a state, which it saves under a step: save(globalStep)",
    );
    expect((await errorFrom(() => new Snapshot(engine))).message).toContain("A snapshot needs a state");
    expect((await errorFrom(() => new Snapshot(""))).message).toContain("names no checkpoint");
    expect(fs.existsSync(path.join(root, "mixed.cairn"))).toBe(false);
    await file.close();
  });
});
