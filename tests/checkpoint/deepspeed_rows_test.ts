import type { ByteSink } from "../../src/container/source.ts";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import { chooseEngine } from "../../src/checkpoint/compose/choose_engine.ts";
import { DecoupledEngine } from "../../src/checkpoint/compose/decoupled_engine.ts";
import type { Engine } from "../../src/checkpoint/engine/engine.ts";
import { FileEngine } from "../../src/checkpoint/engine/file_engine.ts";
import { FrozenCheckpoint } from "../../src/checkpoint/capture/frozen_checkpoint.ts";
import { readLatestHint } from "../../src/checkpoint/engine/latest_hint.ts";
import { DeepSpeedEngine } from "../../src/checkpoint/compat/deepspeed_engine.ts";
import { loadCheckpoint } from "../../src/checkpoint/compat/load_checkpoint.ts";
import { MirrorEngine } from "../../src/checkpoint/compose/mirror_engine.ts";
import { saveCheckpoint } from "../../src/checkpoint/compat/save_checkpoint.ts";
import { StoreCopy } from "../../src/checkpoint/capture/store_copy.ts";
import {
  parseTagValidation,
  tagDigest,
  validateTagDigests,
} from "../../src/checkpoint/ranks/tag_validation.ts";
import { TieredEngine } from "../../src/checkpoint/compose/tiered_engine.ts";
import { BufferUsage } from "../../src/gpu/constants.ts";
import { ReadbackRing } from "../../src/gpu/readback.ts";
import { BlockMemory, BlockWriter, type PositionedFile } from "../../src/storage/block_writer.ts";
import { DiskRates } from "../../src/storage/disk_rates.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { gpuTest } from "../helpers/gpu.ts";
import {
  codeOf,
  contentsOf,
  FaultStorage,
  fileNames,
  fillStore,
  loadState,
  memoryEngine,
  smallStore,
} from "./fixtures.ts";

/** An engine that lacks one of its members. */
function hiding(engine: Engine, hidden: keyof Engine): Engine {
  return new Proxy(engine, {
    get: (target, key) => key === hidden ? undefined : Reflect.get(target, key, target),
  });
}

describe("the synchronous engine", () => {
  test("DS-03 has written and synced all of it when commit resolves, and never writes under the final name", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const engine = await memoryEngine(storage, { verifyEvery: 0 });
    await engine.create("a");
    const written = await engine.save({ state: { history: new Float32Array(1000) } });
    const sizes = (await storage.list("")).map(({ byteLength }) => byteLength);
    expect(sizes).toEqual([written.fileBytes]);
    storage.operations.length = 0;
    await engine.commit("a");
    expect(engine.isDecoupled()).toBe(false);
    const steps = storage.operations.map(({ op, path }) =>
      `${op} ${path.startsWith(".tmp-") ? "temporary" : path}`
    );
    expect(steps.slice(0, 4)).toEqual([
      "sync temporary",
      "close temporary",
      "move a.cairn",
      "syncDirectory ",
    ]);
    expect(steps.filter((step) => /^(createExclusive|write) a\.cairn/.test(step))).toEqual([]);
    expect(await codeOf(engine.commit("a"))).toBe("commit_failed");
  });
});

describe("the statistics of a save", () => {
  test("DS-04 are those of the file, and one rank has the writer", async () => {
    const directory = await mkdtemp(join(tmpdir(), "cairn-ds-"));
    try {
      const engine = await FileEngine.open(directory, { chunkBytes: 4096 });
      await engine.create("a");
      const progress: number[] = [];
      const state = { history: new Float32Array(4096) };
      await engine.save({ state }, undefined, { onProgress: ({ done }) => progress.push(done) });
      const { written, path } = await engine.commit("a");
      expect((await stat(path)).size).toBe(written.fileBytes);
      expect([written.rawBytes, written.chunks]).toEqual([16384, 4]);
      expect(progress.at(-1)).toBe(16384);
      expect(written.ratio).toBe(written.rawBytes / written.storedBytes);
      expect(written.ratio).toBeGreaterThan(10);
      expect(Object.values(written.codecs).reduce((sum, count) => sum + count, 0)).toBe(4);
      const dialect = new DeepSpeedEngine(engine);
      expect([0, 1, 2].map((rank) => dialect.isDataParallelWriter(rank))).toEqual([true, false, false]);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

describe("the buffers between GPU and disk", () => {
  gpuTest("DS-04 are several: while one is written, the next ones are being filled", async (gpu) => {
    const source = gpu.createBuffer("source", 16 * 256, BufferUsage.COPY_SRC | BufferUsage.COPY_DST);
    const ring = new ReadbackRing(gpu, { slots: 4, slotBytes: 256 });
    const before = gpu.counters.submits;
    const submits: number[] = [];
    for await (const _ of ring.stream([{ buffer: source, offset: 0, size: source.size }])) {
      submits.push(gpu.counters.submits - before);
    }
    // Each copy out of the GPU is a submit: three are ahead of the piece that is looked at, until there are no more.
    expect(submits).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 16, 16, 16]);
    ring.close();
    gpu.destroyBuffer(source);
  });

  test("DS-04 are several: bytes are taken for the disk while those before them are being written", async () => {
    const waiting: (() => void)[] = [];
    const write = ({ byteLength }: Uint8Array): Promise<number> =>
      new Promise((resolve) => waiting.push(() => resolve(byteLength)));
    const done = (): Promise<void> => Promise.resolve();
    const file: PositionedFile = { times: { writeMs: 0, syncMs: 0 }, write, sync: done, close: done };
    const writer = new BlockWriter(file, {
      openDirect: () => Promise.resolve(undefined),
      memory: new BlockMemory(),
      disk: new DiskRates(),
    });
    const piece = new Uint8Array(1024 * 1024);
    for (let mebibytes = 0; mebibytes < 5; mebibytes++) {
      expect(await writer.write(piece)).toBe(piece.byteLength);
    }
    expect(waiting.length).toBe(2);
    for (const resolve of waiting.splice(0)) resolve();
    const closing = writer.close();
    await new Promise((resolve) => setTimeout(resolve, 0));
    for (const resolve of waiting.splice(0)) resolve();
    await closing;
  });
});

describe("the engine that a configuration chooses", () => {
  const missingPackage: string = "no-such-package-of-engines";
  const optional = (): never => {
    throw new Error("must not be asked");
  };

  test("DS-09 a writer decides first, then tiers, then an optional engine, then it is the plain one", async () => {
    const storage = new MemoryStorage();
    const tiers = { every: 2 };
    expect(await chooseEngine(storage)).toBeInstanceOf(FileEngine);
    expect(await chooseEngine(storage, { writer: "file", tiers, optional })).toBeInstanceOf(FileEngine);
    expect(await chooseEngine(storage, { writer: "decoupled", tiers, optional })).toBeInstanceOf(
      DecoupledEngine,
    );
    expect(await chooseEngine(storage, { tiers, optional })).toBeInstanceOf(TieredEngine);
    const given = await memoryEngine();
    expect(await chooseEngine(storage, { optional: () => given })).toBe(given);
  });

  test("DS-09 the chosen engine saves where it was told to", async () => {
    for (const choice of [{ writer: "decoupled" }, { tiers: { every: 1 } }, {}] as const) {
      const storage = new MemoryStorage();
      const engine = await chooseEngine(storage, choice);
      await saveCheckpoint(engine, { state: { step: 1 } }, { tag: "a" });
      expect(await fileNames(storage)).toEqual(["a.cairn", "latest"]);
    }
  });

  test("DS-07 an optional engine that cannot be made falls back, and says why", async () => {
    const reasons: Record<string, () => Engine | Promise<Engine>> = {
      "is not installed": () => import(missingPackage),
      "is not there": () => {
        throw new Error("no such thing");
      },
      "throws no error": () => Promise.reject("text"),
      "is half an engine": async () => ({ ...await memoryEngine(), cleanup: undefined }) as never,
      "says no place": async () => hiding(await memoryEngine(), "location"),
      "is nothing": () => undefined as never,
    };
    for (const [name, optional] of Object.entries(reasons)) {
      const told: unknown[] = [];
      const engine = await chooseEngine(new MemoryStorage(), {
        optional,
        onFallback: (error) => told.push(error),
      });
      expect([name, engine.name, told.length]).toEqual([name, "file", 1]);
      await saveCheckpoint(engine, { state: { step: 1 } }, { tag: "a" });
    }
  });

  test("DS-07 a decoupled optional engine has its commit info, so that the hint is written", async () => {
    const storage = new MemoryStorage();
    const optional = async (): Promise<Engine> => new DecoupledEngine(await memoryEngine(storage));
    const engine = new DeepSpeedEngine(await chooseEngine(new MemoryStorage(), { optional }));
    await engine.create("a");
    await engine.save({ state: {} });
    expect(engine.getCommitInfo()?.tag).toBe("a");
    expect(await readLatestHint(storage, "")).toBeUndefined();
    await engine.commit(engine.getCommitInfo() ?? "none");
    expect(await readLatestHint(storage, "")).toBe("a");
    expect(engine.getCommitInfo()).toBeNull();
  });
});

describe("tag validation", () => {
  test("DS-12 ranks with one tag agree, and the digest is of the tag and not of how it was spelled", async () => {
    const digests = await Promise.all([100, "100", "100.cairn"].map(tagDigest));
    expect(digests[0]).toBe("310b86e0b62b828562fc91c7be5380a992b2786a");
    for (const mode of ["ignore", "warn", "fail"] as const) {
      expect(validateTagDigests(digests, mode)).toBeUndefined();
    }
    expect(validateTagDigests([], "fail")).toBeUndefined();
    expect(await codeOf(tagDigest("../x"))).toBe("invalid_tag");
  });

  test("DS-12 ranks that disagree are ignored, warned of, or refused, by the mode", async () => {
    const digests = await Promise.all(["a", "a", "b", "a", "c"].map(tagDigest));
    expect(validateTagDigests(digests, "ignore")).toBeUndefined();
    expect(validateTagDigests(digests)).toContain("2, 4 of 5 differ from rank 0");
    expect(await codeOf(Promise.resolve().then(() => validateTagDigests(digests, "fail")))).toBe(
      "invalid_tag",
    );
  });

  test("DS-12 modes are read in any case, and an unknown one is an error", () => {
    expect(["Ignore", "WARN", "fail", undefined].map((mode) => parseTagValidation(mode))).toEqual([
      "ignore",
      "warn",
      "fail",
      "warn",
    ]);
    expect(() => parseTagValidation("strict")).toThrow(RangeError);
    expect(() => parseTagValidation("")).toThrow(RangeError);
  });
});

describe("client state", () => {
  test("DS-13 comes back as it was, and can overwrite nothing of the engine's own, whatever its keys are", async () => {
    const engine = await memoryEngine();
    const clientState = {
      state: "mine",
      step: 999,
      runId: "mine",
      metrics: { loss: -1 },
      provenance: { step: 999, tag: "mine" },
      excludedTensors: ["model.0.weight"],
      clientState: { clientState: 1 },
      curve: new Float64Array([1, 2]),
    };
    const state = { step: 7, curve: new Float64Array([3]) };
    const own = { state, metrics: { loss: 0.5 }, provenance: { step: 7 } };
    await saveCheckpoint(engine, own, { tag: "a", clientState });
    const checkpoint = await engine.load("a");
    expect(await checkpoint.state()).toEqual(state);
    expect(await checkpoint.clientState()).toEqual(clientState);
    expect(checkpoint.metrics).toEqual({ loss: 0.5 });
    expect(checkpoint.provenance).toMatchObject({ step: 7, tag: "a", runId: engine.runId });
    expect(checkpoint.excludedTensors).toEqual([]);
    await checkpoint.close();
    const target = { step: 0 };
    const { clientState: loaded } = await loadCheckpoint(engine, { state: target });
    expect([loaded, target]).toEqual([clientState, { step: 7 }]);
  });
});

describe("the layout of a directory", () => {
  test("DS-15 a checkpoint is one file <tag>.cairn with all its groups, beside the hint", async () => {
    const directory = await mkdtemp(join(tmpdir(), "cairn-ds-"));
    try {
      await saveCheckpoint(directory, { state: { step: 1 } }, { tag: "global_step1" });
      await saveCheckpoint(directory, { state: { step: 2 } }, { tag: "global_step2" });
      const engine = await FileEngine.open(directory);
      await engine.create({ tag: "best", saveDir: "exports", saveLatest: false });
      await engine.save({ state: { step: 3 } });
      await engine.commit({ tag: "best", saveDir: "exports", saveLatest: false });
      expect((await readdir(directory)).sort()).toEqual([
        "exports",
        "global_step1.cairn",
        "global_step2.cairn",
        "latest",
      ]);
      expect(await readdir(join(directory, "exports"))).toEqual(["best.cairn"]);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  gpuTest(
    "DS-15 a mirror has model and optimiser in each of its files, read twice from the GPU",
    async (gpu) => {
      const store = smallStore(gpu);
      fillStore(store, 1);
      const before = await contentsOf(store);
      const storages = [new MemoryStorage(), new MemoryStorage()];
      const engine = await MirrorEngine.open(storages);
      await engine.create("a");
      const saving = engine.save({ store, state: { step: 1 } });
      fillStore(store, 2);
      await saving;
      await engine.commit("a");
      for (const storage of storages) {
        const checkpoint = await (await memoryEngine(storage)).load("a");
        fillStore(store, 3);
        await checkpoint.loadInto(store);
        expect(await contentsOf(store)).toEqual(before);
        const groups = new Set(checkpoint.reader.tensors.map(({ name }) => name.split(".")[0]));
        expect([...groups].sort()).toEqual(["model", "optimizer"]);
        await checkpoint.close();
      }
      await store.close();
    },
  );
});

describe("a frozen checkpoint", () => {
  gpuTest(
    "that is released while somebody reads it gives nothing more: its memory may hold another state",
    async (gpu) => {
      const store = smallStore(gpu);
      fillStore(store, 1);
      const copy = new StoreCopy(store);
      const frozen = FrozenCheckpoint.of({ store }, copy);
      let pieces = 0;
      const sink: ByteSink = {
        write: () => {
          pieces++;
          frozen.release();
          return Promise.resolve();
        },
      };
      expect(await codeOf(frozen.writeTo(sink))).toBe("closed");
      expect(await codeOf(frozen.writeTo(sink))).toBe("closed");
      expect(pieces).toBe(1);
      copy.close();
      await store.close();
    },
  );
});

describe("views", () => {
  test("DS-18 are saved without their backing buffer, and the containers around them keep their kind", async () => {
    const engine = await memoryEngine(new MemoryStorage(), { codec: "raw" });
    const backing = new Float32Array(1_000_000).fill(7);
    const view = backing.subarray(10, 12);
    const state = {
      list: [view, [view]],
      map: new Map([["view", backing.subarray(500, 501)]]),
      inner: { view },
    };
    await engine.create("a");
    const written = await engine.save({ state });
    await engine.commit("a");
    expect(written.fileBytes).toBeLessThan(10_000);
    expect(written.rawBytes).toBe(512);
    const loaded = await loadState(engine, "a") as typeof state;
    expect(loaded).toEqual(state);
    expect(Array.isArray(loaded.list) && loaded.map instanceof Map).toBe(true);
    expect(loaded.inner.view.buffer.byteLength).toBe(8);
    expect(loaded.list[0]).toBe(loaded.inner.view);
    expect(new DeepSpeedEngine(engine).preservesStorageSharing()).toBe(true);
  });
});
