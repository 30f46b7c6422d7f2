import { describe, expect, test } from "bun:test";
import { fetchBatch } from "../../src/data/fetch_batch.ts";
import { MapLoader } from "../../src/data/map_loader.ts";
import { StreamLoader } from "../../src/data/stream/stream_loader.ts";
import type { Example } from "../../src/data/example.ts";

const example = (index: number): Example => ({
  inputs: { image: Uint8Array.of(index, index + 1), meta: index / 2 },
  labels: { kind: Uint32Array.of(index % 3), box: [index, -index] },
});

const EXPECTED = {
  "inputs.image": Uint8Array.of(2, 3, 3, 4),
  "inputs.meta": Float32Array.of(1, 1.5),
  "labels.kind": Uint32Array.of(2, 0),
  "labels.box": Float32Array.of(2, -2, 3, -3),
};

describe("TR-01 examples with several named inputs and labels", () => {
  const request = { seed: 1, epoch: 0, position: 1 };

  test("TR-01 are read from a map", async () => {
    const loader = await MapLoader.open({ length: 5, get: example }, { batchSize: 2 });
    expect(loader.inputs).toEqual({ image: { dtype: "u8", shape: [2] }, meta: { dtype: "f32", shape: [] } });
    expect(await fetchBatch(loader, request, 2)).toEqual(EXPECTED);
  });

  test("TR-01 are read from a stream", async () => {
    const all = Array.from({ length: 5 }, (_, index) => example(index));
    const loader = await StreamLoader.open({ open: () => all, exampleCount: 5 }, { batchSize: 2 });
    const reader = loader.openReader();
    await fetchBatch(loader, { ...request, position: 0 }, 2, reader);
    expect(await fetchBatch(loader, request, 2, reader)).toEqual(EXPECTED);
    await reader.close();
  });

  test("TR-01 are refused by name where one lacks a part, or has one that the others have not", async () => {
    const given = (second: Example): Promise<string> =>
      MapLoader.open({ length: 2, get: (index) => index === 0 ? example(0) : second }, { batchSize: 2 })
        .then((loader) => loader.batchAt({ ...request, position: 0 }))
        .then(() => "no error", (error: Error) => String(error.cause ?? error.message) + error.message);
    const { inputs, labels } = example(1);
    expect(await given({ inputs: { image: Uint8Array.of(1, 2) }, labels })).toContain(
      'It has no inputs "meta", and the others have',
    );
    expect(await given({ inputs, labels: { kind: 1, box: [1, 2], more: 3 } })).toContain(
      'It has labels "more", and the others have none',
    );
    expect(await given({ inputs: { image: Uint8Array.of(1), meta: 0 }, labels })).toContain(
      'Its inputs "image" are u8 [1], expected u8 [2]',
    );
  });
});
