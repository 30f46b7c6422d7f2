import { describe, expect, test } from "bun:test";
import { DataLoader } from "../../../src/data/data_loader.ts";
import { examplesOf } from "../../../src/data/rows/examples_of.ts";
import type { ByteSource } from "../../../src/container/source.ts";
import { SourceRows } from "../../../src/data/files/source_rows.ts";
import { MapLoader } from "../../../src/data/map_loader.ts";
import type { StoredRows } from "../../../src/data/rows/stored_rows.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";

const inputs = HostTensor.from(Float32Array.from({ length: 60 }, (_, at) => at), [20, 3]);
const labels = HostTensor.from(Uint32Array.from({ length: 20 }, (_, at) => at % 4));

function storedRows(tensor: HostTensor): StoredRows & { readonly reads: [number, number][] } {
  const reads: [number, number][] = [];
  const rowBytes = tensor.bytes.byteLength / (tensor.shape[0] ?? 1);
  return {
    reads,
    length: tensor.shape[0] ?? 0,
    row: { dtype: tensor.dtype, shape: tensor.shape.slice(1) },
    read(first, count) {
      reads.push([first, count]);
      return Promise.resolve(tensor.bytes.slice(first * rowBytes, (first + count) * rowBytes));
    },
    describe: () => Promise.resolve({ name: "rows" }),
    close: () => Promise.resolve(),
  };
}

describe("examplesOf", () => {
  test("DA-05 rows in memory and rows of a file give the batches of the tensors", async () => {
    const options = { batchSize: 6, shuffle: true };
    const expected = DataLoader.from({ inputs, labels }, options);
    const file = storedRows(inputs);
    const loader = await MapLoader.open(examplesOf({ inputs: file, labels }), options);
    for (const position of [0, 3]) {
      const request = { seed: 2, epoch: 1, position };
      expect(await loader.batchAt(request)).toEqual(expected.batchAt(request));
    }
    const changed = await MapLoader.open(examplesOf({ inputs: file, labels }), {
      ...options,
      transform: ({ inputs, labels }) => ({
        inputs: (inputs.toArray() as Float32Array).map((x) => 2 * x),
        labels,
      }),
    });
    const request = { seed: 2, epoch: 0, position: 1 };
    const doubled = (expected.batchAt(request).inputs as Float32Array).map((x) => 2 * x);
    expect((await changed.batchAt(request)).inputs).toEqual(doubled);
  });

  test("DA-05 neighbours are one read", async () => {
    const file = storedRows(inputs);
    const loader = await MapLoader.open(examplesOf({ inputs: file, labels }), { batchSize: 8 });
    await loader.batchAt({ seed: 0, epoch: 0, position: 1 });
    expect(file.reads).toEqual([[8, 8]]);
  });

  test("DA-05 rows of a file are read into the batch, and take no other memory", async () => {
    const read: ArrayBufferLike[] = [];
    const source: ByteSource = {
      byteLength: inputs.bytes.byteLength,
      read(offset, into) {
        read.push(into.buffer);
        into.set(inputs.bytes.subarray(offset, offset + into.byteLength));
        return Promise.resolve();
      },
    };
    const place = { dtype: "f32", shape: inputs.shape, offset: 0, isBigEndian: false } as const;
    const map = examplesOf({ inputs: new SourceRows(source, place, () => Promise.resolve()) });
    const batch = await map.getBatch?.([3, 17, 4, 5], { signal: new AbortController().signal });
    const { buffer } = batch?.inputs as Float32Array;
    expect(read).toHaveLength(3);
    expect(read.every((each) => each === buffer)).toBe(true);
    expect([...batch?.inputs as Float32Array]).toEqual([9, 10, 11, 51, 52, 53, 12, 13, 14, 15, 16, 17]);
    const example = await map.get(7, { signal: new AbortController().signal });
    expect(read.at(-1)).toBe(example.inputs.bytes.buffer);
  });

  test("DA-05 the labels may be left out, and count as the inputs do", async () => {
    const loader = await MapLoader.open(examplesOf({ inputs }), { batchSize: 8 });
    expect((await loader.batchAt({ seed: 0, epoch: 0, position: 0 })).labels.byteLength).toBe(0);
    expect(() => examplesOf({ inputs, labels: [1, 2] })).toThrow("found 20 inputs and 2 labels");
    expect(await loader.describe()).toMatchObject({
      map: { name: "examplesOf", inputs: { name: "tensor" } },
    });
  });
});
