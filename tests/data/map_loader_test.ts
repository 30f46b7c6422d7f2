import { describe, expect, test } from "bun:test";
import { deferred } from "../../src/base/deferred.ts";
import { nextTurn } from "../../src/base/event_loop.ts";
import type { Batch, BatchRequest } from "../../src/data/batch_source.ts";
import { BatchFeed } from "../../src/data/batch_feed.ts";
import { evaluationBatches } from "../../src/data/batch_source.ts";
import { DataLoader } from "../../src/data/data_loader.ts";
import type { Example } from "../../src/data/example.ts";
import type { ExampleMap } from "../../src/data/example_map.ts";
import { MapLoader, type MapLoaderOptions } from "../../src/data/map_loader.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { thrownBy } from "../helpers/thrown.ts";

const LABEL = { labels: { dtype: "u32", shape: [] } } as const;

/** Example `n` has the inputs `[n, -n]` and the label `n`; each takes a turn. */
function numbered(length: number): ExampleMap {
  return {
    length,
    async get(index) {
      await Promise.resolve();
      return { inputs: new Float32Array([index, -index]), labels: index };
    },
  };
}

function request(position: number, epoch = 0): BatchRequest {
  return { seed: 1, epoch, position };
}

function labelsOf(batch: Batch): number[] {
  return [...batch.labels as Uint32Array];
}

async function epochOf(loader: MapLoader, epoch = 0): Promise<number[]> {
  const labels: number[] = [];
  for (let position = 0; position < evaluationBatches(loader); position++) {
    labels.push(...labelsOf(await loader.batchAt(request(position, epoch))));
  }
  return labels;
}

describe("MapLoader", () => {
  test("DA-01 gives the batches that a DataLoader gives of the same tensors, shuffled too", async () => {
    const inputs = Float32Array.from({ length: 46 }, (_, at) => at % 2 === 0 ? at / 2 : -(at - 1) / 2);
    const tensors = {
      inputs: HostTensor.from(inputs, [23, 2]),
      labels: HostTensor.from(Uint32Array.from({ length: 23 }, (_, at) => at)),
    };
    const options = { batchSize: 5, shuffle: true };
    const expected = DataLoader.from(tensors, options);
    const loader = await MapLoader.open(numbered(23), { ...options, ...LABEL });
    expect([loader.inputs, loader.labels]).toEqual([expected.inputs, expected.labels]);
    for (const [position, epoch] of [[0, 0], [3, 0], [4, 2]] as const) {
      expect(await loader.batchAt(request(position, epoch))).toEqual(
        expected.batchAt(request(position, epoch)),
      );
    }
  });

  test("DA-01 a map that gives several at once is asked for a batch at once, and not with a transform", async () => {
    const asked: (readonly number[])[] = [];
    const map: ExampleMap = {
      ...numbered(6),
      getBatch(indices) {
        asked.push(indices);
        const inputs = Float32Array.from(indices.flatMap((index) => [index, -index]));
        return { inputs, labels: Uint32Array.from(indices) };
      },
    };
    const plain = await MapLoader.open(map, { batchSize: 4, ...LABEL });
    expect(labelsOf(await plain.batchAt(request(1)))).toEqual([4, 5]);
    expect(asked).toEqual([[4, 5]]);
    const changed = await MapLoader.open(map, { batchSize: 4, ...LABEL, transform: (example) => example });
    expect(labelsOf(await changed.batchAt(request(1)))).toEqual([4, 5]);
    expect(asked.length).toBe(1);
  });

  test("DA-01 reads as many examples at a time as it may, and no more", async () => {
    let [now, most] = [0, 0];
    const map: ExampleMap = {
      length: 40,
      async get(index) {
        most = Math.max(most, ++now);
        await new Promise((resolve) => setTimeout(resolve));
        now--;
        return { inputs: [index], labels: index };
      },
    };
    const loader = await MapLoader.open(map, { batchSize: 20, concurrency: 3 });
    const reader = loader.openReader();
    await Promise.all([reader.batchAt(request(0)), reader.batchAt(request(1))]);
    expect(most).toBe(3);
  });

  test("DA-01 asks for a batch after the one before it, in the very turn in which there is room", async () => {
    const asked: { readonly index: number; readonly come: () => void }[] = [];
    const map: ExampleMap = {
      length: 40,
      async get(index) {
        const { promise, resolve } = deferred();
        asked.push({ index, come: resolve });
        await promise;
        return { inputs: [index], labels: index };
      },
    };
    const loader = await MapLoader.open(map, {
      batchSize: 8,
      concurrency: 8,
      inputs: { dtype: "f32", shape: [1] },
      ...LABEL,
    });
    const { now } = performance;
    let ms = 0;
    performance.now = () => ms;
    try {
      const reader = loader.openReader();
      const batches = [0, 1].map((position) => reader.batchAt(request(position)));
      for (let turn = 0; turn < 3; turn++) await nextTurn();
      expect(asked).toHaveLength(8);
      // As long as they were waited for, the event loop was held up by nobody.
      ms = 1000;
      for (const { come } of asked.splice(0)) come();
      for (let task = 0; task < 200; task++) await Promise.resolve();
      expect(asked.map(({ index }) => index)).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
      for (const { come } of asked) come();
      expect((await Promise.all(batches)).map(labelsOf)).toEqual([
        [0, 1, 2, 3, 4, 5, 6, 7],
        [8, 9, 10, 11, 12, 13, 14, 15],
      ]);
    } finally {
      performance.now = now;
    }
  });

  test("DA-01 an exception names the epoch, the batch and the index, and has its cause", async () => {
    const cause = new Error("the disk is on fire");
    const map: ExampleMap = {
      length: 10,
      get: (index) => index === 7 ? Promise.reject(cause) : { inputs: [index], labels: index },
    };
    const loader = await MapLoader.open(map, { batchSize: 4 });
    expect(await thrownBy(() => loader.batchAt(request(1, 2)))).toMatchObject({
      code: "loader_failed",
      message: "Cannot read example 7 of batch 1 of epoch 3: the disk is on fire",
      details: { value: { epoch: 3, batch: 1, index: 7 } },
      cause,
    });
    const changed = await MapLoader.open(map, {
      batchSize: 2,
      transform(example, _, index) {
        if (index === 3) throw new RangeError("no such color");
        return example;
      },
    });
    expect(await thrownBy(() => changed.batchAt(request(1)))).toMatchObject({
      message: "Cannot read example 3 of batch 1 of epoch 1: no such color",
    });
  });

  test("DA-01 an example that is not like the first is refused with what was found", async () => {
    const odd: Record<number, unknown> = {
      1: { inputs: new Float32Array(3), labels: 0 },
      2: { inputs: new Uint8Array(2), labels: 0 },
      3: { inputs: [1, 2] },
      4: { pixels: [1] },
    };
    const map: ExampleMap = {
      length: 5,
      get: (index) => (odd[index] ?? { inputs: new Float32Array(2), labels: 0 }) as Example,
    };
    const loader = await MapLoader.open(map, { batchSize: 1 });
    const messages = await Promise.all(
      [1, 2, 3, 4].map(async (position) =>
        String((await thrownBy(() => loader.batchAt(request(position)))).message).replace(/^.*?: /, "")
      ),
    );
    expect(messages[0]).toContain("Its inputs are f32 [3], expected f32 [2]");
    expect(messages[1]).toContain("Its inputs are u8 [2], expected f32 [2]");
    expect(messages[2]).toContain("It has no labels, and the others have");
    expect(messages[3]).toContain('An example is { inputs, labels }, found an object with "pixels"');
  });

  test("DA-01 wrong options and what is no map are refused", async () => {
    const open = (options: Partial<MapLoaderOptions>, map: unknown = numbered(3)) =>
      thrownBy(() => MapLoader.open(map as ExampleMap, { batchSize: 2, ...options }));
    expect((await open({ batchSize: 0 })).message).toContain("batchSize is an integer from 1, found 0");
    expect((await open({ prefetch: -1 })).message).toContain("prefetch is a number of batches from 0");
    expect((await open({ concurrency: 0 })).message).toContain("concurrency is an integer from 1, found 0");
    expect((await open({}, [1, 2])).message).toContain("takes { length, get(index) }, found an array");
    expect((await open({}, numbered(0))).message).toContain("an integer from 1, found 0");
  });
});

describe("a transform", () => {
  const jitter = (batchSize: number, prefetch: number) =>
    MapLoader.open(numbered(12), {
      batchSize,
      prefetch,
      shuffle: true,
      transform: (_, random, index) => ({
        inputs: [random.uniform(), random.normal(), random.below(1000), random.chance(0.5) ? 1 : 0],
        labels: index,
      }),
    });
  const byLabel = async (loader: MapLoader, epoch: number): Promise<Record<number, number[]>> => {
    const found: Record<number, number[]> = {};
    const feed = new BatchFeed(
      loader,
      (position) => position < evaluationBatches(loader) ? request(position, epoch) : undefined,
    );
    for (let position = 0; position < evaluationBatches(loader); position++) {
      const { inputs, labels } = await feed.take(position, request(position, epoch));
      [...labels as Float32Array].forEach((label, row) => {
        found[label] = [...(inputs as Float32Array).subarray(4 * row, 4 * row + 4)];
      });
    }
    await feed.close();
    return found;
  };

  test("DA-03 draws the same for an example whatever the size of the batch and how much is read ahead", async () => {
    const expected = await byLabel(await jitter(12, 0), 3);
    expect(Object.keys(expected).length).toBe(12);
    expect(new Set(Object.values(expected).map(String)).size).toBe(12);
    expect(await byLabel(await jitter(5, 3), 3)).toEqual(expected);
    expect(await byLabel(await jitter(1, 1), 3)).toEqual(expected);
    expect(await byLabel(await jitter(12, 0), 4)).not.toEqual(expected);
  });

  test("DA-03 is described by a checksum of its text", async () => {
    const described = await (await jitter(4, 0)).describe();
    expect(described).toMatchObject({ name: "MapLoader", shuffle: true, transform: { name: "custom" } });
    expect(await (await MapLoader.open(numbered(3), { batchSize: 1 })).describe()).not.toHaveProperty(
      "transform",
    );
  });
});

test("a shuffled epoch of a map has every example once", async () => {
  const loader = await MapLoader.open(numbered(33), { batchSize: 8, shuffle: true, ...LABEL });
  const order = await epochOf(loader, 1);
  expect(order).not.toEqual([...order].sort((a, b) => a - b));
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 33 }, (_, index) => index));
});
