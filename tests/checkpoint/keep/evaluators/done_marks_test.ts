import { afterAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import {
  evalDonePath,
  evalSubdir,
  isDoneEval,
  markDoneEval,
  removeMarks,
} from "../../../../src/checkpoint/keep/evaluators/done_marks.ts";
import { FileEngine } from "../../../../src/checkpoint/engine/file_engine.ts";
import { MemoryStorage } from "../../../../src/storage/memory_storage.ts";
import { bytes, writeFile } from "../../../storage/storage_contract.ts";
import { atEveryOperation, codeOf, FaultStorage, memoryEngine, saveState } from "../../fixtures.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-marks-"));

afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

describe("the marks of evaluators", () => {
  test("TW-07 lie in a directory beside the checkpoints, one file for each partition", () => {
    expect(evalSubdir("runs/a/100.cairn")).toBe("runs/a/evaled_by");
    expect(evalDonePath("runs/a/100.cairn", "test")).toBe("runs/a/evaled_by/100@test_DONE");
    expect(evalDonePath("runs/a/100", "test")).toBe("runs/a/evaled_by/100@test_DONE");
    // The names say which part is which.
    expect(evalDonePath("a.b.cairn", "c")).not.toBe(evalDonePath("a.cairn", "b.c"));
    for (const bad of ["", "..", "a/b", "a@b", "ä", "x".repeat(65), ".a"]) {
      expect(() => evalDonePath("runs/100", bad)).toThrow(TypeError);
    }
  });

  test("TW-08 markDoneEval leaves the mark for other processes, and may be called twice", async () => {
    const run = path.join(directory, "marked");
    await saveState(await FileEngine.open(run), 100, { n: 1 });
    const checkpoint = path.join(run, "100.cairn");
    await markDoneEval(checkpoint, "test");
    await markDoneEval(pathToFileURL(checkpoint), "test");
    expect(fs.readdirSync(path.join(run, "evaled_by"))).toEqual(["100@test_DONE"]);
    expect(fs.existsSync(evalDonePath(checkpoint, "test"))).toBe(true);
    expect(await codeOf(markDoneEval(path.join(run, "200.cairn"), "test"))).toBe("not_found");
  });

  test("TW-09 isDoneEval says whether that partition has marked that checkpoint", async () => {
    const run = path.join(directory, "asked");
    const engine = await FileEngine.open(run);
    for (const step of [1, 10]) await saveState(engine, step, { step });
    const checkpoint = path.join(run, "1.cairn");
    expect(await isDoneEval(checkpoint, "test")).toBe(false);
    await markDoneEval(checkpoint, "test");
    expect(await isDoneEval(checkpoint, "test")).toBe(true);
    expect(await isDoneEval(pathToFileURL(checkpoint), "test")).toBe(true);
    expect(await isDoneEval({ engine, tag: 1 }, "test")).toBe(true);
    expect(await isDoneEval(checkpoint, "train")).toBe(false);
    expect(await isDoneEval(path.join(run, "10.cairn"), "test")).toBe(false);
    expect(await isDoneEval(path.join(run, "nothing.cairn"), "test")).toBe(false);
    expect(await isDoneEval(path.join(directory, "nowhere", "1.cairn"), "test")).toBe(false);
  });

  test("TW-09 a checkpoint that was overwritten, or is gone, is not done", async () => {
    const engine = await memoryEngine();
    await saveState(engine, 1, { n: 1 });
    await markDoneEval({ engine, tag: 1 }, "test");
    await saveState(engine, 1, { n: 2 }, { overwrite: true });
    expect(await isDoneEval({ engine, tag: 1 }, "test")).toBe(false);
    await markDoneEval({ engine, tag: 1 }, "test");
    await engine.remove("1");
    expect(await isDoneEval({ engine, tag: 1 }, "test")).toBe(false);
  });

  test("TW-09 a mark that is empty or torn counts for nothing", async () => {
    const engine = await memoryEngine();
    await saveState(engine, 1, { n: 1 });
    await engine.storage.makeDirectory("evaled_by");
    await writeFile(engine.storage, "evaled_by/1@test_DONE", bytes(""));
    expect(await isDoneEval({ engine, tag: 1 }, "test")).toBe(false);
  });

  test("TW-08 a crash at any moment leaves the mark or none, and marking again works", async () => {
    const points = await atEveryOperation(async (at) => {
      const inner = new MemoryStorage();
      const engine = await memoryEngine(inner);
      await saveState(engine, 1, { n: 1 });
      const storage = new FaultStorage(inner);
      storage.crashAt(at, { takesEffect: at % 2 === 0 });
      const marked = await markDoneEval({ engine: await memoryEngine(storage), tag: 1 }, "test").then(() =>
        true
      )
        .catch(() => false);
      const isDone = await isDoneEval({ engine, tag: 1 }, "test");
      if (marked) expect(isDone).toBe(true);
      await markDoneEval({ engine, tag: 1 }, "test");
      expect(await isDoneEval({ engine, tag: 1 }, "test")).toBe(true);
      return storage;
    });
    expect(points).toBeGreaterThan(5);
  });

  test("go with their checkpoint, and with no other", async () => {
    const engine = await memoryEngine();
    for (const step of [1, 11]) {
      await saveState(engine, step, { step });
      for (const partition of ["a", "b"]) await markDoneEval({ engine, tag: step }, partition);
    }
    await removeMarks(engine, ["1", "2"]);
    expect((await engine.storage.list("evaled_by")).map(({ name }) => name)).toEqual([
      "11@a_DONE",
      "11@b_DONE",
    ]);
  });
});
