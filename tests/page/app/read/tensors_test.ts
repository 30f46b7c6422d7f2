import { expect, test } from "bun:test";
import { ContainerWriter } from "../../../../src/container/write/container_writer.ts";
import { BytesSink } from "../../../../src/container/source.ts";
import { DroppedFiles } from "../../../../src/page/app/files/dropped_files.ts";
import { readOnlyStorage } from "../../../../src/page/app/files/readable_files.ts";
import { type ComparedTensor, compareFiles } from "../../../../src/page/app/read/compare_files.ts";
import { lookAtTensor, SAMPLE_BYTES } from "../../../../src/page/app/read/look_at_tensor.ts";
import { openCheckpointFile } from "../../../../src/page/app/read/open_checkpoint.ts";
import type { OpenedFile, ShownTensor } from "../../../../src/page/app/read/opened_file.ts";
import { manifestOf } from "../../../container/samples.ts";

const looking = (whole: boolean) => ({ whole, signal: new AbortController().signal, onShare: () => {} });

/** A checkpoint of one file in memory, as a person drops it. */
async function opened(tensors: Readonly<Record<string, Float32Array>>): Promise<OpenedFile> {
  const sink = new BytesSink();
  const specs = Object.entries(tensors).map(([name, { length }]) =>
    ({ name, dtype: "f32", shape: [length] }) as const
  );
  const writer = await ContainerWriter.create(sink, {
    tensors: specs,
    fileId: new Uint8Array(16).fill(7),
    chunkBytes: 4096,
  });
  const raw = new Uint8Array(writer.layout.rawByteLength);
  for (const { name, rawOffset } of writer.layout.tensors) {
    const { buffer, byteLength } = tensors[name] ?? new Float32Array();
    raw.set(new Uint8Array(buffer, 0, byteLength), rawOffset);
  }
  await writer.write(raw);
  await writer.finish(manifestOf({ step: 1 }));
  const files = new DroppedFiles();
  files.add(new File([sink.toBytes() as Uint8Array<ArrayBuffer>], "a.cairn"));
  return await openCheckpointFile(readOnlyStorage(files), "a.cairn");
}

function tensorOf(file: OpenedFile, name: string): ShownTensor {
  const tensor = file.tensors.find((each) => each.name === name);
  if (tensor === undefined) throw new Error(`there is no ${name}`);
  return tensor;
}

test("a tensor is read whole, and its statistics are those of all elements", async () => {
  const file = await opened({ a: new Float32Array(10), b: Float32Array.from({ length: 3000 }, (_, i) => i) });
  const look = await lookAtTensor(file, tensorOf(file, "b"), looking(false));
  expect(look).toMatchObject({
    isSample: false,
    statistics: { count: 3000, min: 0, max: 2999, mean: 1499.5, zeros: 1 },
  });
  expect(look.histogram.counts.reduce((sum, count) => sum + count, 0)).toBe(3000);
  expect(look.beginning).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  await file.close();
});

test("the stored bytes of tensors add up to those of the file, also where they share chunks", async () => {
  const file = await opened({
    a: new Float32Array(10).fill(1),
    b: new Float32Array(3000).fill(2),
    c: new Float32Array(64),
  });
  const sum = file.tensors.reduce((total, { storedBytes }) => total + storedBytes, 0);
  // What is between two tensors is nobody's.
  expect(sum).toBeLessThanOrEqual(file.storedBytes);
  expect(sum).toBeGreaterThan(0.8 * file.storedBytes);
  await file.close();
});

/** A tensor that is not there: what is read of it is counted, and each element is its own index. */
function counted(byteLength: number) {
  const parts: (readonly [number, number])[] = [];
  const tensor: ShownTensor = {
    name: "x",
    dtype: "f32",
    storedAs: "f32",
    shape: [byteLength / 4],
    byteLength,
    storedBytes: byteLength,
    codecs: [],
  };
  const readPart = (_name: string, start: number, end: number): Promise<Uint8Array> => {
    parts.push([start, end]);
    const values = Float32Array.from({ length: (end - start) / 4 }, (_, i) => start / 4 + i);
    return Promise.resolve(new Uint8Array(values.buffer));
  };
  return { tensor, parts, file: { readPart } as unknown as OpenedFile };
}

test("of a large tensor a sample from end to end is read, and all of it only when that is asked for", async () => {
  const byteLength = 2 * SAMPLE_BYTES;
  const some = counted(byteLength);
  const sample = await lookAtTensor(some.file, some.tensor, looking(false));
  expect(sample).toMatchObject({ isSample: true, statistics: { min: 0, max: byteLength / 4 - 1 } });
  expect(sample.statistics.count).toBe(SAMPLE_BYTES / 2 / 4);
  expect(some.parts.every(([start, end]) => start % 8 === 0 && end <= byteLength)).toBe(true);
  const all = counted(byteLength);
  const whole = await lookAtTensor(all.file, all.tensor, looking(true));
  expect([whole.isSample, whole.statistics.count]).toEqual([false, byteLength / 4]);
});

test("a tensor that does not fit into memory twice is read twice, with the same result", async () => {
  const { tensor, parts, file } = counted(80 * 1024 * 1024);
  const { statistics, histogram } = await lookAtTensor(file, tensor, looking(true));
  expect(parts.length).toBe(160);
  expect(histogram.counts.reduce((sum, count) => sum + count, 0)).toBe(statistics.count);
});

test("two files are compared tensor by tensor: what is equal, what differs, and what only one of them has", async () => {
  const a = await opened({
    same: Float32Array.of(1, 2),
    moved: Float32Array.of(1, 2),
    longer: Float32Array.of(1),
    gone: Float32Array.of(1),
  });
  const b = await opened({
    same: Float32Array.of(1, 2),
    moved: Float32Array.of(1, 3),
    longer: Float32Array.of(1, 2),
    more: Float32Array.of(1),
  });
  const found: ComparedTensor[] = [];
  let last = 0;
  await compareFiles(a, b, {
    signal: new AbortController().signal,
    onTensor: (tensor, share) => {
      found.push(tensor);
      last = share;
    },
  });
  expect(
    found.map(({ name, verdict }) =>
      `${name}: ${
        verdict.kind === "compared"
          ? verdict.distance.different
          : verdict.kind === "only"
          ? verdict.in
          : verdict.kind
      }`
    ),
  ).toEqual(["same: 0", "moved: 1", "longer: form", "gone: a", "more: b"]);
  expect(last).toBe(1);
});
