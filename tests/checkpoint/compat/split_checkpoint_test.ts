import { describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { openCheckpoint } from "../../../src/checkpoint/file/open_path.ts";
import { retain } from "../../../src/checkpoint/keep/retention/retention.ts";
import { splitCheckpoint } from "../../../src/checkpoint/compat/split_checkpoint.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { RUN_ID } from "../fixtures.ts";
import { frozenTensors, modelTensors } from "../file/parts/frozen_tensors.ts";
import { messages, saveAll } from "../ranks/rank_saves.ts";

const STATE = { epoch: 3, losses: new Float64Array([1, 2]) };

async function inDirectory(body: (directory: string, engine: FileEngine) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(path.join(os.tmpdir(), "cairn-split-"));
  try {
    const engine = await FileEngine.open(directory, { runId: RUN_ID, chunkBytes: 1024 });
    await engine.create("full");
    await engine.save(frozenTensors(modelTensors(4), { state: STATE, provenance: { step: 12 } }));
    await engine.commit("full");
    await body(directory, engine);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Everything in a checkpoint, to be compared. */
async function contentsOf(file: string): Promise<unknown> {
  const checkpoint = await openCheckpoint(file);
  try {
    await checkpoint.verify();
    const { reader } = checkpoint;
    const tensors: [string, string][] = [];
    for await (const { name, bytes } of reader.readMany(reader.tensors.map(({ name }) => name))) {
      tensors.push([name, `${reader.tensor(name).aliasOf} ${bytes.join()}`]);
    }
    return { step: checkpoint.step, state: await checkpoint.state(), tensors: Object.fromEntries(tensors) };
  } finally {
    await checkpoint.close();
  }
}

describe("splitCheckpoint", () => {
  test("NN-14 cuts a file into one per component and keeps the source as it is", async () => {
    await inDirectory(async (directory, engine) => {
      const source = path.join(directory, "full.cairn");
      const before = await readFile(source);
      await splitCheckpoint(path.join(directory, "full"), path.join(directory, "cut"));
      expect(await readFile(source)).toEqual(before);
      expect(await contentsOf(path.join(directory, "cut"))).toEqual(await contentsOf(source));
      const cut = await engine.load("cut");
      expect(cut.parts.map(({ name }) => name)).toEqual(["model", "optimizer", "loss"]);
      expect([cut.provenance.tag, cut.provenance.runId]).toEqual(["cut", undefined]);
      await cut.close();
      // It belongs to no run, so that none deletes it.
      await retain(engine, "full", { last: 1 });
      expect(await engine.list()).toEqual(["cut", "full"]);
    });
  });

  test("NN-14 takes the keys that are named, and puts the files together again", async () => {
    await inDirectory(async (directory) => {
      const [cut, whole] = [path.join(directory, "cut"), path.join(directory, "whole")];
      await splitCheckpoint(path.join(directory, "full"), cut, { components: ["optimizer", "absent"] });
      const checkpoint = await openCheckpoint(cut);
      expect(checkpoint.parts.map(({ name }) => name)).toEqual(["optimizer"]);
      await checkpoint.close();
      await splitCheckpoint(cut, whole, { components: false });
      expect(await contentsOf(whole)).toEqual(await contentsOf(cut));
      const again = await openCheckpoint(whole);
      expect(again.parts).toEqual([]);
      await again.close();
    });
  });

  test("a target that is there, the source itself and a damaged source are refused, and nothing is left", async () => {
    await inDirectory(async (directory, engine) => {
      const [full, cut] = [path.join(directory, "full"), path.join(directory, "cut")];
      expect((await thrownBy(() => splitCheckpoint(full, full, { overwrite: true }))).code).toBe(
        "already_exists",
      );
      await splitCheckpoint(full, cut);
      expect((await thrownBy(() => splitCheckpoint(full, cut))).code).toBe("already_exists");
      await splitCheckpoint(full, cut, { overwrite: true, components: ["model"] });
      const content = await readFile(`${full}.cairn`);
      content[4200] = (content[4200] ?? 0) ^ 1;
      await writeFile(`${full}.cairn`, content);
      const other = path.join(directory, "other");
      expect((await thrownBy(() => splitCheckpoint(full, other))).code).toBe("checksum_mismatch");
      expect(await engine.list()).toEqual(["cut", "full"]);
      expect(await engine.storage.list("parts")).toHaveLength(1);
      const temporaries = (await engine.storage.list("")).filter(({ name }) => name.startsWith(".tmp-"));
      expect(temporaries).toEqual([]);
    });
  });

  test("a target that cannot get its name leaves nothing behind", async () => {
    await inDirectory(async (directory, engine) => {
      await mkdir(path.join(directory, "taken.cairn", "in it"), { recursive: true });
      const taken = path.join(directory, "taken");
      const error = await thrownBy(() =>
        splitCheckpoint(path.join(directory, "full"), taken, { overwrite: true })
      );
      expect(error.code).toBe("storage_failed");
      expect(await engine.storage.list("parts")).toEqual([]);
      const names = (await engine.storage.list("")).map(({ name }) => name).sort();
      expect(names).toEqual(["full.cairn", "latest", "parts", "taken.cairn"]);
    });
  });

  test("what several ranks saved is refused, as each has a state of its own", async () => {
    await inDirectory(async (directory, engine) => {
      const results = await saveAll(engine.storage, 2, () => ({
        tag: "ranks",
        // A real disk takes its time, however often the test looks.
        ranks: { clock: undefined, timeoutMs: undefined },
      }));
      expect(messages(results)).toEqual(["saved", "saved"]);
      const error = await thrownBy(() =>
        splitCheckpoint(path.join(directory, "ranks"), path.join(directory, "cut"))
      );
      expect(error.code).toBe("unsupported");
      expect(error.message).toContain("2 ranks saved it, each with a state of its own; use exportWeights");
      expect(await engine.list()).toEqual(["full", "ranks"]);
    });
  });
});
