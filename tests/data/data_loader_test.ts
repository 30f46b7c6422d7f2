import { describe, expect, test } from "bun:test";
import { CairnError } from "../../src/base/errors.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import {
  type Batch,
  type BatchSource,
  evaluationBatches,
  sizeOfBatch,
  trainingBatches,
} from "../../src/data/batch_source.ts";
import { fetchBatch } from "../../src/data/fetch_batch.ts";
import { DataLoader, type DataLoaderOptions } from "../../src/data/data_loader.ts";

/** Example `n` has the inputs `[n, -n]` and the label `n`. */
function numbered(count: number, options: DataLoaderOptions): DataLoader {
  const inputs = Float32Array.from(
    { length: 2 * count },
    (_, index) => index % 2 === 0 ? index / 2 : -(index - 1) / 2,
  );
  const labels = Uint32Array.from({ length: count }, (_, index) => index);
  return DataLoader.from({
    inputs: HostTensor.from(inputs, [count, 2]),
    labels: HostTensor.from(labels, [count]),
  }, options);
}

function labelsOf(batch: Batch): number[] {
  return [...batch.labels as Uint32Array];
}

function epochOf(loader: DataLoader, epoch: number, seed = 1): number[] {
  return Array.from({ length: evaluationBatches(loader) }, (_, position) => position)
    .flatMap((position) => labelsOf(loader.batchAt({ seed, epoch, position })));
}

describe("DataLoader", () => {
  test("gives the examples in order, as typed arrays, with the labels that belong to them", () => {
    const loader = numbered(5, { batchSize: 2 });
    const batch = loader.batchAt({ seed: 1, epoch: 0, position: 1 });
    expect(batch.inputs).toEqual(new Float32Array([2, -2, 3, -3]));
    expect(batch.labels).toEqual(new Uint32Array([2, 3]));
    expect(epochOf(loader, 7)).toEqual([0, 1, 2, 3, 4]);
    expect(loader.inputs).toEqual({ dtype: "f32", shape: [2] });
    expect(loader.labels).toEqual({ dtype: "u32", shape: [] });
  });

  test("shuffled, an epoch still has every example once, in an order of its own", () => {
    const loader = numbered(103, { batchSize: 10, shuffle: true });
    const first = epochOf(loader, 0);
    const second = epochOf(loader, 1);
    const sorted = (order: number[]): number[] => [...order].sort((a, b) => a - b);
    expect(sorted(first)).toEqual(Array.from({ length: 103 }, (_, index) => index));
    expect(sorted(second)).toEqual(sorted(first));
    expect(first).not.toEqual(second);
    expect(first).not.toEqual(sorted(first));
    expect(epochOf(loader, 0)).toEqual(first);
    expect(epochOf(loader, 0, 2)).not.toEqual(first);
  });

  test("inputs and labels are shuffled together", () => {
    const { inputs, labels } = numbered(50, { batchSize: 50, shuffle: true }).batchAt({
      seed: 3,
      epoch: 2,
      position: 0,
    });
    const rows = labelsOf({ inputs, labels }).flatMap((label) => [label, 0 - label]);
    expect([...inputs as Float32Array].map((value) => value + 0)).toEqual(rows.map((value) => value + 0));
  });

  test("a seed of its own wins over the run's", () => {
    const loader = numbered(50, { batchSize: 10, shuffle: true, seed: 9 });
    expect(epochOf(loader, 0, 1)).toEqual(epochOf(loader, 0, 2));
  });

  test("DA-02 training has a short last batch unless dropLast says otherwise, evaluation covers everything", () => {
    const loader = numbered(25, { batchSize: 10 });
    expect(trainingBatches(loader)).toBe(3);
    expect([0, 1, 2].map((position) => sizeOfBatch(loader, position))).toEqual([10, 10, 5]);
    expect(trainingBatches(numbered(25, { batchSize: 10, dropLast: false }))).toBe(3);
    expect(trainingBatches(numbered(25, { batchSize: 10, dropLast: true }))).toBe(2);
    expect(trainingBatches(numbered(20, { batchSize: 10 }))).toBe(2);
    expect(trainingBatches(numbered(5, { batchSize: 10 }))).toBe(1);
    expect(evaluationBatches(loader)).toBe(3);
    expect(evaluationBatches(numbered(25, { batchSize: 10, dropLast: true }))).toBe(3);
    expect(labelsOf(loader.batchAt({ seed: 1, epoch: 0, position: 2 }))).toEqual([20, 21, 22, 23, 24]);
    expect(() => trainingBatches(numbered(5, { batchSize: 10, dropLast: true }))).toThrow(
      "5 examples do not fill one batch of 10",
    );
  });

  test("goes on from its state, in any epoch, without looking at what is before", () => {
    const straight = numbered(25, { batchSize: 10, shuffle: true });
    const batches = Array.from({ length: 9 }, () => labelsOf(straight.next()));
    expect(straight.state).toEqual({ epoch: 3, position: 0 });
    const resumed = numbered(25, { batchSize: 10, shuffle: true });
    resumed.seek({ epoch: 1, position: 2 });
    expect(labelsOf(resumed.next())).toEqual(batches[5] ?? []);
    expect(labelsOf(resumed.next())).toEqual(batches[6] ?? []);
    resumed.seek({ epoch: 1_000_000_000, position: 1 });
    expect(resumed.next().labels.byteLength).toBe(40);
    expect(() => resumed.seek({ epoch: 0, position: 3 })).toThrow(RangeError);
    expect(() => resumed.seek({ epoch: -1, position: 0 })).toThrow(RangeError);
  });

  test("keeps the bits of 16-bit floats and of bytes", () => {
    const loader = DataLoader.from({
      inputs: HostTensor.fromBytes(new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]), "bf16", [2, 2]),
      labels: HostTensor.fromBytes(new Uint8Array([9, 8]), "u8", [2]),
    }, { batchSize: 1 });
    const batch = loader.batchAt({ seed: 0, epoch: 0, position: 1 });
    expect(batch.inputs).toEqual(new Uint16Array([0x0605, 0x0807]));
    expect(batch.labels).toEqual(new Uint8Array([8]));
  });

  test("a data set without examples is refused when the loader is made", () => {
    const empty = {
      inputs: HostTensor.from(new Float32Array(0), [0, 2]),
      labels: HostTensor.from(new Uint32Array(0), [0]),
    };
    expect(() => DataLoader.from(empty, { batchSize: 1 })).toThrow(RangeError);
    expect(() => DataLoader.from(empty, { batchSize: 1 })).toThrow(
      "The data set has no examples: its inputs have the shape [0, 2]",
    );
  });

  test("refuses an invalid batch size, a count that differs, and a batch outside", () => {
    for (const batchSize of [0, -1, 1.5, NaN]) expect(() => numbered(4, { batchSize })).toThrow(RangeError);
    const labels = HostTensor.from(new Uint32Array(3), [3]);
    const inputs = HostTensor.from(new Float32Array(8), [4, 2]);
    expect(() => DataLoader.from({ inputs, labels }, { batchSize: 2 })).toThrow(
      "found inputs [4, 2] and labels [3]",
    );
    const scalar = HostTensor.from(new Float32Array(1), []);
    expect(() => DataLoader.from({ inputs: scalar, labels: scalar }, { batchSize: 1 })).toThrow(TypeError);
    expect(() => numbered(4, { batchSize: 2 }).batchAt({ seed: 0, epoch: 0, position: 2 })).toThrow(
      "Batch 2 is not in an epoch of 2 batches",
    );
  });
});

describe("a loader of one's own", () => {
  const source = (batch: Batch): BatchSource => ({
    batchSize: 4,
    exampleCount: 8,
    inputs: { dtype: "f32", shape: [2] },
    labels: { dtype: "u32", shape: [] },
    batchAt: () => Promise.resolve(batch),
  });

  test("that yields a short batch is told what was found, what was expected and what to do", async () => {
    const short = source({ inputs: new Float32Array(6), labels: new Uint32Array(3) });
    const error = await fetchBatch(short, { seed: 1, epoch: 2, position: 1 }, 4).catch((thrown: unknown) =>
      thrown
    );
    expect(error).toBeInstanceOf(CairnError);
    expect((error as CairnError).code).toBe("short_batch");
    expect((error as CairnError).message).toBe(
      "Batch 1 of epoch 3 is short: its inputs hold 3 examples of f32 [2] (24 bytes), expected 4 (32 bytes); " +
        "let batchAt() give what exampleCount promises, or leave out a smaller last batch with dropLast",
    );
  });

  test("that yields too few labels, too much or no typed array is refused", async () => {
    const request = { seed: 1, epoch: 0, position: 0 };
    const fewLabels = source({ inputs: new Float32Array(8), labels: new Uint32Array(3) });
    await expect(fetchBatch(fewLabels, request, 4)).rejects.toThrow("its labels hold 3 examples");
    const long = source({ inputs: new Float32Array(10), labels: new Uint32Array(4) });
    await expect(fetchBatch(long, request, 4)).rejects.toThrow("is too long: its inputs hold 5 examples");
    const list = source({ inputs: [1, 2] as unknown as Float32Array, labels: new Uint32Array(4) });
    await expect(fetchBatch(list, request, 4)).rejects.toThrow(TypeError);
  });

  test("that yields full batches is used as it is", async () => {
    const batch = { inputs: new Float32Array(8), labels: new Uint32Array(4) };
    expect(await fetchBatch(source(batch), { seed: 1, epoch: 0, position: 0 }, 4)).toEqual(batch);
  });
});

describe("numbers where a tensor is", () => {
  test("nested arrays and typed arrays are a data set", () => {
    const data = DataLoader.from({ inputs: [[1, 2], [3, 4], [5, 6]], labels: Uint32Array.of(0, 1, 0) }, {
      batchSize: 2,
    });
    expect([data.inputs, data.labels, data.exampleCount]).toEqual([
      { dtype: "f32", shape: [2] },
      { dtype: "u32", shape: [] },
      3,
    ]);
    expect(data.batchAt({ seed: 0, epoch: 0, position: 1 })).toEqual({
      inputs: Float32Array.of(5, 6),
      labels: Uint32Array.of(0),
    });
  });

  test("an example of another length is named by its place", () => {
    const labels = [0, 1, 0];
    expect(() => DataLoader.from({ inputs: [[1, 2], [3, 4], [5]], labels }, { batchSize: 2 })).toThrow(
      "inputs[2] is an array of 1 value, expected an array of 2 values as in inputs[0]",
    );
    const images = [[[1, 2], [3, 4]], [[5, 6], [7]], [[8, 9], [1, 2]]];
    expect(() => DataLoader.from({ inputs: images, labels }, { batchSize: 2 })).toThrow("inputs[1][1] is");
  });

  test("what is no data, and a Buffer, say what is expected", () => {
    const inputs = [[1], [2]];
    const missing = {} as unknown as { inputs: number[]; labels: number[] };
    expect(() => DataLoader.from(missing, { batchSize: 2 })).toThrow("A data set has inputs: a HostTensor");
    expect(() => DataLoader.from({ inputs, labels: Buffer.of(0, 1) }, { batchSize: 2 })).toThrow(
      "What was given for labels is a Buffer",
    );
    const text = { inputs, labels: ["a", "b"] as unknown as number[] };
    expect(() => DataLoader.from(text, { batchSize: 2 })).toThrow("Element 0 of labels is a string");
  });
});
