import { expect, test } from "bun:test";
import { BatchFeed, withFeed } from "../../src/data/batch_feed.ts";
import type { Batch, BatchRequest, BatchSource } from "../../src/data/batch_source.ts";
import type { Example } from "../../src/data/example.ts";
import { MapLoader } from "../../src/data/map_loader.ts";
import { StreamLoader } from "../../src/data/stream/stream_loader.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { VirtualClock } from "../helpers/virtual_clock.ts";

/** Three batches an epoch; says what was asked for, and how often its readers were opened and closed. */
function source(prefetch: number, failsAt = -1) {
  const events: string[] = [];
  const batchAt = ({ epoch, position }: BatchRequest): Promise<Batch> => {
    events.push(`${epoch}/${position}`);
    if (position === failsAt) return Promise.reject(new Error("no batch"));
    return Promise.resolve({ inputs: new Float32Array([position]), labels: new Float32Array([epoch]) });
  };
  const spec = { dtype: "f32", shape: [] } as const;
  const made: BatchSource = {
    batchSize: 1,
    exampleCount: 3,
    inputs: spec,
    labels: spec,
    prefetch,
    batchAt,
    openReader() {
      events.push("open");
      return {
        batchAt,
        close: () => {
          events.push("close");
          return Promise.resolve();
        },
      };
    },
  };
  return { made, events };
}

function requestOf(step: number): BatchRequest {
  return { seed: 0, epoch: Math.floor(step / 3), position: step % 3 };
}

test("DA-01 so many batches are asked for ahead, over the end of an epoch and not beyond the last step", async () => {
  const { made, events } = source(2);
  const feed = new BatchFeed(made, (step) => step < 5 ? requestOf(step) : undefined);
  for (let step = 0; step < 5; step++) await feed.take(step, requestOf(step));
  expect(events).toEqual(["open", "0/0", "0/1", "0/2", "1/0", "1/1"]);
  await feed.close();
  await feed.take(0, requestOf(0));
  expect(events.slice(6)).toEqual(["close", "open", "0/0", "0/1", "0/2"]);
});

test("DA-01 a run that goes back gets the batch that it asks for", async () => {
  const { made } = source(2);
  const feed = new BatchFeed(made, requestOf);
  await feed.take(0, requestOf(0));
  expect(await feed.take(7, requestOf(7))).toMatchObject({ inputs: new Float32Array([1]) });
  expect(await feed.take(8, requestOf(8))).toMatchObject({ labels: new Float32Array([2]) });
});

test("DA-01 an error ahead is that of its own batch", async () => {
  const { made } = source(2, 2);
  const feed = new BatchFeed(made, requestOf);
  await feed.take(0, requestOf(0));
  await feed.take(1, requestOf(1));
  expect((await thrownBy(() => feed.take(2, requestOf(2)))).message).toBe("no batch");
});

test("DA-01 a reader is closed when its work is done and when it fails", async () => {
  const { made, events } = source(0);
  const work = withFeed(made, { seed: 0 }, () => Promise.reject(new Error("work")));
  expect((await thrownBy(() => work)).message).toBe("work");
  expect(
    await withFeed(made, { seed: 0 }, async (from) => {
      await from.batchAt(requestOf(0));
      return 3;
    }),
  ).toBe(3);
  expect(events).toEqual(["open", "0/0", "close"]);
});

test("DA-01 a batch that hangs is not waited for once its signal is aborted", async () => {
  const { made } = source(0);
  const hanging: BatchSource = {
    ...made,
    openReader: () => ({ batchAt: hangs, close: () => Promise.resolve() }),
  };
  const feed = new BatchFeed(hanging, requestOf);
  const abort = new AbortController();
  const taken = feed.take(0, requestOf(0), abort.signal);
  abort.abort(new Error("enough"));
  expect((await thrownBy(() => taken)).message).toBe("enough");
  expect(await feed.close()).toBe(true);
});

test("DA-01 a source that hangs is left behind after five seconds", async () => {
  const { made } = source(0);
  const clock = new VirtualClock();
  const hanging: BatchSource = { ...made, openReader: () => ({ batchAt: hangs, close: hangs }) };
  const feed = new BatchFeed(hanging, requestOf, clock);
  const abort = new AbortController();
  const taken = feed.take(0, requestOf(0), abort.signal);
  abort.abort(new Error("enough"));
  await thrownBy(() => taken);
  expect(await clock.run(feed.close())).toBe(false);
  expect(clock.elapsedMs).toBe(5_000);
  // What is not at a batch is waited for.
  const idle = new BatchFeed(made, requestOf, clock);
  await idle.take(0, requestOf(0));
  expect(await idle.close()).toBe(true);
  expect(clock.sleepers).toBe(0);
});

function hangs(): Promise<never> {
  return new Promise(() => {});
}

test("DA-01 batches that were used are filled again, and those that are read ahead are others", async () => {
  for (const open of [openMap, openStream]) {
    const feed = new BatchFeed(await open(), (step) => step < 20 ? requestOf(step) : undefined);
    const buffers = new Set<ArrayBufferLike>();
    for (let step = 0; step < 20; step++) {
      const { inputs } = await feed.take(step, requestOf(step));
      expect([...inputs as Float32Array]).toEqual([2 * (step % 3), 2 * (step % 3) + 1]);
      buffers.add((inputs as Float32Array).buffer);
    }
    // The one that is taken, and two ahead.
    expect(buffers.size).toBeLessThanOrEqual(3);
    await feed.close();
  }
});

const FILLED = { batchSize: 2, prefetch: 2, labels: { dtype: "u8", shape: [0] } } as const;
const exampleAt = (index: number): Example => ({ inputs: Float32Array.of(index) });

function openMap(): Promise<BatchSource> {
  return MapLoader.open({ length: 6, get: exampleAt }, FILLED);
}

function openStream(): Promise<BatchSource> {
  return StreamLoader.open({
    *open() {
      for (let index = 0; index < 6; index++) yield exampleAt(index);
    },
  }, { ...FILLED, exampleCount: 6 });
}
