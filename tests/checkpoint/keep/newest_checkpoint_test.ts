import { afterAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import {
  getCheckpoint,
  getCheckpoints,
  stepFromCheckpoint,
} from "../../../src/checkpoint/keep/newest_checkpoint.ts";
import { Snapshot } from "../../../src/checkpoint/snapshot.ts";
import { bytes, writeFile } from "../../storage/storage_contract.ts";
import { errorOf, memoryEngine, saveState } from "../fixtures.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-find-"));

afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

describe("stepFromCheckpoint", () => {
  test("TW-10 reads the step off the end of the path", () => {
    expect(stepFromCheckpoint("runs/a/1200.cairn")).toBe(1200);
    expect(stepFromCheckpoint("1200")).toBe(1200);
    expect(stepFromCheckpoint("C:\\runs\\7.cairn")).toBe(7);
    expect(stepFromCheckpoint("/runs/0.cairn")).toBe(0);
  });

  test("TW-10 a name that is no integer is a RangeError that names it", () => {
    for (
      const bad of [
        "",
        "best",
        "step-100.cairn",
        "1.5",
        "runs/100/",
        "1e3",
        "-1",
        "0x10",
        "99999999999999999999",
      ]
    ) {
      expect(() => stepFromCheckpoint(bad)).toThrow(RangeError);
    }
    expect(() => stepFromCheckpoint("runs/best.cairn")).toThrow(
      'Cannot tell the step of checkpoint "runs/best.cairn": its name is no integer',
    );
  });
});

describe("getCheckpoints", () => {
  test("TW-11 is empty for a directory that is not there", async () => {
    expect(await getCheckpoints(path.join(directory, "nowhere"))).toEqual([]);
  });

  test("TW-11 sorts by number, and leaves out what is unfinished or damaged", async () => {
    const run = path.join(directory, "run");
    const snapshot = new Snapshot(run, {});
    for (const step of [9, 100, 20]) await (await snapshot.save(step)).wait();
    fs.copyFileSync(path.join(run, "100.cairn"), path.join(run, ".tmp-0123"));
    fs.writeFileSync(
      path.join(run, "300.cairn"),
      fs.readFileSync(path.join(run, "100.cairn")).subarray(0, -1),
    );
    fs.writeFileSync(path.join(run, "400.cairn"), "");
    fs.mkdirSync(path.join(run, "500"));
    const expected = ["9.cairn", "20.cairn", "100.cairn"].map((name) => path.join(run, name));
    expect(await getCheckpoints(run)).toEqual(expected);
    expect(await getCheckpoints(pathToFileURL(run))).toEqual(expected);
    expect(fs.readdirSync(run)).toContain("300.cairn");
  });

  test("TW-11 a name that is no integer is in order of the step that was saved, and breaks nothing", async () => {
    const engine = await memoryEngine();
    await saveState(engine, "best", { n: 1 }, { step: 15 });
    await saveState(engine, 20, { n: 1 });
    await saveState(engine, 10, { n: 1 });
    await saveState(engine, "export", { n: 1 });
    await writeFile(engine.storage, "notes.cairn", bytes("not a container"));
    expect(await getCheckpoints(engine)).toEqual([
      "memory:export.cairn",
      "memory:10.cairn",
      "memory:best.cairn",
      "memory:20.cairn",
    ]);
  });
});

describe("getCheckpoint", () => {
  test("TW-12 gives the newest, or the one with exactly that step", async () => {
    const engine = await memoryEngine();
    for (const step of [100, 9]) await saveState(engine, step, { step });
    expect(await getCheckpoint(engine)).toBe("memory:9.cairn");
    expect(await getCheckpoint(engine, { step: 9 })).toBe("memory:9.cairn");
  });

  test("TW-12 no checkpoint at all is an error, or an empty path when that is fine", async () => {
    const nowhere = path.join(directory, "nowhere");
    const error = await errorOf(getCheckpoint(nowhere));
    expect(error.code).toBe("no_checkpoint");
    expect(error.message).toBe(`There are no checkpoints in "${nowhere}"; train and save first`);
    expect(await getCheckpoint(nowhere, { missingOk: true })).toBe("");
    expect(await getCheckpoint(nowhere, { step: 1, missingOk: true })).toBe("");
  });

  test("TW-12 a step that is not there is an error, whatever missingOk says", async () => {
    const engine = await memoryEngine();
    await saveState(engine, 9, { step: 9 });
    await saveState(engine, 10, { step: 10 });
    for (const missingOk of [false, true]) {
      const error = await errorOf(getCheckpoint(engine, { step: 1, missingOk }));
      expect(error.code).toBe("no_checkpoint");
      expect(error.message).toBe(
        "There is no checkpoint of step 1 in the engine's directory; there are 9, 10",
      );
    }
  });
});
