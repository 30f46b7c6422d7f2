import { describe, expect } from "bun:test";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { FileEngine } from "../../src/checkpoint/engine/file_engine.ts";
import { Snapshot } from "../../src/checkpoint/snapshot.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { putFile, readFileOf, withManifest } from "../checkpoint/with_manifest.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { engineOn, type Fixture, smallRun, withTrainer } from "./fixtures.ts";

/** Everything of a run that a load may change. */
async function lookOf({ trainer, tensors }: Fixture): Promise<unknown> {
  const { step, epoch, history } = trainer;
  return { step, epoch, loss: [...history.loss], epochs: history.epochs, tensors: await tensors() };
}

/** A directory with `trained.cairn`, three steps of a run; and what that run was then. */
async function trainedIn(gpu: GpuDevice, savePath: string): Promise<unknown> {
  return await withTrainer(gpu, smallRun(), async (made) => {
    made.trainer.autoSave({ savePath });
    await made.trainer.train({ epochs: 1, progress: false });
    await made.trainer.save("trained");
    return await lookOf(made);
  });
}

describe("a path", () => {
  gpuTest("loads whatever the file is called, by trainer and by snapshot", async (gpu) => {
    const root = await mkdtemp(join(tmpdir(), "cairn-restore-"));
    const own = join(root, "runs");
    const trained = await trainedIn(gpu, own);
    await mkdir(join(root, "else where"));
    const paths = [
      "Größte (1).cairn",
      "a..b.cairn",
      "latest.cairn",
      "-x.cairn",
      " .cairn",
      "最高.cairn",
      "b".repeat(200),
    ]
      .flatMap((name) => [join(root, "else where", name), join(own, name)]);
    for (const path of paths) {
      await copyFile(join(own, "trained.cairn"), path.endsWith(".cairn") ? path : `${path}.cairn`);
      for (const target of [path, pathToFileURL(path)]) {
        await withTrainer(gpu, smallRun(), async (made) => {
          made.trainer.autoSave({ savePath: own });
          await made.trainer.load(target);
          expect(await lookOf(made)).toEqual(trained);
          await made.trainer.load(target, { only: ["model.*"] });
          const snapshot = new Snapshot(own, { store: made.store });
          await snapshot.restore(target);
          await snapshot.close();
        });
      }
    }
    await rm(root, { recursive: true });
  }, 600_000);

  gpuTest("is not needed for a file of the own directory whose name is no tag", async (gpu) => {
    const root = await mkdtemp(join(tmpdir(), "cairn-restore-"));
    const trained = await trainedIn(gpu, root);
    await copyFile(join(root, "trained.cairn"), join(root, "Größte (1).cairn"));
    await withTrainer(gpu, smallRun(), async (made) => {
      made.trainer.autoSave({ savePath: root });
      await made.trainer.load("Größte (1).cairn");
      expect(await lookOf(made)).toEqual(trained);
    });
    await rm(root, { recursive: true });
  });
});

describe("what a file says of its run", () => {
  const strange = {
    "a run id that is no 32 hexadecimal digits": { runId: "my run / 2026" },
    "an empty run id": { runId: "" },
    "a run id in capitals": { runId: "0123456789ABCDEF0123456789ABCDEF" },
    "a tag that is not its name": { tag: "another" },
    "an invalid tag": { tag: "../../etc" },
    "unknown variants": { variants: { matmul: "made up", nothing: "" } },
  };
  for (const [what, provenance] of Object.entries(strange)) {
    gpuTest(`may be ${what}: it resumes, loads and trains on`, async (gpu) => {
      const storage = new MemoryStorage();
      const trained = await withTrainer(gpu, smallRun(), async (made) => {
        made.trainer.autoSave({ savePath: await engineOn(storage) });
        await made.trainer.train({ epochs: 1, progress: false });
        await made.trainer.save("trained");
        return await lookOf(made);
      });
      const bytes = await withManifest(await readFileOf(storage, "trained.cairn"), (manifest) => {
        const { runId: _, ...others } = manifest.provenance;
        return { ...manifest, provenance: { ...others, ...provenance } };
      });
      for (const way of ["resume", "load", "snapshot"] as const) {
        const other = new MemoryStorage();
        await putFile(other, "trained.cairn", bytes);
        await withTrainer(gpu, smallRun(), async (made) => {
          const engine = await FileEngine.open(other);
          made.trainer.autoSave({ savePath: engine, interval: 1 });
          if (way === "resume") expect((await made.trainer.resume()).resumedFrom).toBe("trained");
          else if (way === "load") await made.trainer.load("trained");
          else await new Snapshot(engine, { store: made.store }).restore("trained");
          if (way === "snapshot") return;
          expect(await lookOf(made)).toEqual(trained);
          const training = made.trainer.train({ epochs: 2, progress: false });
          if (!("variants" in provenance)) expect((await training).failedSaves).toEqual([]);
          // Other kernels would round differently.
          else expect((await thrownBy(() => training)).code).toBe("unsupported");
        });
      }
    }, 600_000);
  }

  gpuTest("is not looked for in a file of another kind", async (gpu) => {
    const root = await mkdtemp(join(tmpdir(), "cairn-restore-"));
    await writeFile(join(root, "no checkpoint (2).cairn"), "hello");
    await withTrainer(gpu, smallRun(), async (made) => {
      await made.trainer.evaluate(smallRun().data);
      const before = await lookOf(made);
      const error = await made.trainer.load(join(root, "no checkpoint (2).cairn")).catch((error) => error);
      expect(error.code).toBe("not_a_container");
      expect(await lookOf(made)).toEqual(before);
    });
    await rm(root, { recursive: true });
  });
});

describe("a number", () => {
  gpuTest("is a step, with the names that automatic saves have by default", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async (made) => {
      made.trainer.autoSave({ savePath: await engineOn(storage), everySteps: 2, interval: 1 });
      await made.trainer.train({ epochs: 1, progress: false });
      const trained = await lookOf(made);
      for (const step of [2, 4, 6, 7]) {
        await made.trainer.load(step);
        expect(made.trainer.step).toBe(step);
      }
      expect(await lookOf(made)).toEqual(trained);
      const error = await thrownBy(() => made.trainer.load(3));
      expect(error.code).toBe("not_found");
      expect(error.message).toContain("there are 2, 4, 6, 7");
    });
  });
});
