import { describe, expect } from "bun:test";
import type { BatchSource } from "../../src/data/batch_source.ts";
import type { ExampleMap } from "../../src/data/example_map.ts";
import type { ExampleStream } from "../../src/data/stream/example_stream.ts";
import { MapLoader } from "../../src/data/map_loader.ts";
import { StreamLoader } from "../../src/data/stream/stream_loader.ts";
import { assertResumeExact } from "../../src/train/assert_resume_exact.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { BATCH, CLASSES, engineOn, FEATURES, smallRun, withTrainer } from "./fixtures.ts";

const COUNT = 59;
const SPECS = {
  inputs: { dtype: "f32", shape: [FEATURES] },
  labels: { dtype: "u32", shape: [] },
} as const;

function exampleOf(index: number) {
  const label = index % CLASSES;
  const inputs = Float32Array.from(
    { length: FEATURES },
    (_, column) =>
      (column % CLASSES === label ? 1 : 0) + 0.25 * Math.fround(((index * 7 + column * 3) % 11) / 11),
  );
  return { inputs, labels: label };
}

const map: ExampleMap = {
  length: COUNT,
  async get(index) {
    await Promise.resolve();
    return exampleOf(index);
  },
};

/** What was opened, closed and read of it. */
function streamed(): ExampleStream<number> & {
  readonly log: { opened: number; closed: number; read: number };
} {
  const log = { opened: 0, closed: 0, read: 0 };
  return {
    log,
    async *open() {
      log.opened++;
      try {
        for (let index = 0; index < COUNT; index++) {
          await Promise.resolve();
          log.read++;
          yield index;
        }
      } finally {
        log.closed++;
      }
    },
  };
}

const noisy = (index: number, random: { normal(): number }) => {
  const { inputs, labels } = exampleOf(index);
  return { inputs: inputs.map((x) => x + 0.05 * random.normal()), labels };
};

const shuffledMap = (): Promise<BatchSource> =>
  MapLoader.open(map, {
    batchSize: BATCH,
    shuffle: true,
    ...SPECS,
    transform: (_, random, index) => noisy(index, random),
  });
const shuffledStream = (stream: ExampleStream<number>): Promise<BatchSource> =>
  StreamLoader.open(stream, {
    batchSize: BATCH,
    exampleCount: COUNT,
    shuffleWithin: 20,
    ...SPECS,
    transform: (record, random) => noisy(record, random),
  });

describe("training on data that is read on the way", () => {
  for (
    const [name, open] of [
      ["a map", shuffledMap],
      ["a stream", () => shuffledStream(streamed())],
    ] as const
  ) {
    gpuTest(
      `DA-01 ${name} that is shuffled and augmented resumes bit for bit in the middle of an epoch`,
      async (gpu) => {
        await withTrainer(gpu, smallRun({ data: await open() }), async ({ trainer }) => {
          await trainer.train({ steps: 3, progress: false });
          await assertResumeExact(trainer, { steps: 7 });
        });
      },
    );

    gpuTest(
      `XT-03 ${name} is gone back in by goto and by rollback, and gone on with from there`,
      async (gpu) => {
        const seen: Record<string, string>[] = [];
        const options = { ...smallRun({ data: await open() }), rollback: { last: 2, everySteps: 5 } };
        await withTrainer(gpu, options, async ({ trainer, tensors }) => {
          const onStep = async () => void seen.push(await tensors());
          await trainer.train({ steps: 18, progress: false, onStep });
          expect([await trainer.goto(4), await tensors()]).toMatchObject([{ from: 0 }, seen[3] ?? {}]);
          await trainer.train({ steps: 18, progress: false });
          expect([await trainer.rollback(2), await tensors()]).toEqual([15, seen[14] ?? {}]);
          await trainer.train({ steps: 18, progress: false });
          expect(await tensors()).toEqual(seen[17] ?? {});
        });
      },
    );

    gpuTest(`DA-01 ${name}: another process goes on with the same examples`, async (gpu) => {
      const engine = await engineOn();
      const straight = await withTrainer(
        gpu,
        smallRun({ data: await open() }),
        async ({ trainer, tensors }) => {
          await trainer.train({ steps: 13, progress: false });
          return await tensors();
        },
      );
      await withTrainer(gpu, smallRun({ data: await open() }), async ({ trainer }) => {
        trainer.autoSave({ savePath: engine, everySteps: 5 });
        await trainer.train({ steps: 10, progress: false });
      });
      await withTrainer(gpu, smallRun({ data: await open() }), async ({ trainer, tensors }) => {
        expect((await trainer.resume({ directory: engine })).step).toBe(10);
        await trainer.train({ steps: 13, progress: false });
        expect(await tensors()).toEqual(straight);
      });
    });
  }

  gpuTest("DA-01 iterators are closed when a training ends, fails and is stopped", async (gpu) => {
    const stream = streamed();
    const data = await shuffledStream(stream);
    const balance = () => stream.log.opened - stream.log.closed;
    await withTrainer(gpu, smallRun({ data }), async ({ trainer }) => {
      await trainer.train({ steps: 2, progress: false });
      expect([stream.log.opened, balance()]).toEqual([1, 0]);
      await trainer.train({
        steps: 20,
        progress: false,
        onStep: ({ step }) => step === 4 ? trainer.stop() : undefined,
      });
      expect([trainer.step, balance()]).toEqual([4, 0]);
      const failed = trainer.train({
        steps: 20,
        progress: false,
        onStep: () => Promise.reject(new Error("a callback of mine")),
      });
      expect((await thrownBy(() => failed)).message).toContain("a callback of mine");
      expect(balance()).toBe(0);
      const abort = new AbortController();
      const aborted = trainer.train({
        steps: 20,
        progress: false,
        signal: abort.signal,
        onStep: () => abort.abort(new Error("enough")),
      });
      expect((await thrownBy(() => aborted)).message).toBe("enough");
      expect(balance()).toBe(0);
      await trainer.evaluate(data);
      expect(balance()).toBe(0);
    });
  });

  gpuTest("DA-01 a loader that hangs does not keep a training from being stopped", async (gpu) => {
    let onHang: (() => void) | undefined;
    const signals: AbortSignal[] = [];
    const data = await MapLoader.open({
      length: COUNT,
      get(index, { signal }) {
        if (index !== 21 || onHang === undefined) return exampleOf(index);
        signals.push(signal);
        onHang();
        return new Promise<never>(() => {});
      },
    }, { batchSize: BATCH, prefetch: 0, ...SPECS });
    const engine = await engineOn();
    const straight = await withTrainer(gpu, smallRun({ data }), async ({ trainer, tensors }) => {
      await trainer.train({ steps: 6, progress: false });
      return await tensors();
    });
    await withTrainer(gpu, smallRun({ data }), async ({ trainer, tensors }) => {
      trainer.autoSave({ savePath: engine, everySteps: 100 });
      onHang = () => trainer.stop();
      const report = await trainer.train({ steps: 6, progress: false });
      expect([report.endedBy, report.steps, report.saves.length]).toEqual(["stop", 2, 1]);
      const abort = new AbortController();
      onHang = () => abort.abort(new Error("enough"));
      const aborted = trainer.train({ steps: 6, progress: false, signal: abort.signal });
      expect((await thrownBy(() => aborted)).message).toBe("enough");
      expect(signals.map((signal) => signal.aborted)).toEqual([true, true]);
      onHang = undefined;
      await trainer.train({ steps: 6, progress: false });
      expect(await tensors()).toEqual(straight);
    });
  });

  gpuTest(
    "DA-01 an exception of a loader ends the training, names the example, and the next call tries again",
    async (gpu) => {
      let isBroken = true;
      const data = await MapLoader.open({
        length: COUNT,
        get: (index) => {
          if (index === 21 && isBroken) throw new Error("unreadable");
          return exampleOf(index);
        },
      }, { batchSize: BATCH, ...SPECS });
      await withTrainer(gpu, smallRun({ data }), async ({ trainer }) => {
        const failure = await thrownBy(() => trainer.train({ epochs: 1, progress: false }));
        expect(failure).toMatchObject({
          code: "loader_failed",
          message: "Cannot read example 21 of batch 2 of epoch 1: unreadable",
        });
        expect(trainer.step).toBe(2);
        isBroken = false;
        expect((await trainer.train({ epochs: 1, progress: false })).steps).toBe(6);
      });
    },
  );
});
