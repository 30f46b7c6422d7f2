import { describe, expect, test } from "bun:test";
import { ContainerReader } from "../../src/container/container_reader.ts";
import { DirectReads } from "../../src/container/direct_reads.ts";
import { type ByteSource, bytesSource } from "../../src/container/source.ts";
import { writeContainer } from "../../src/container/write_container.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { FILE_ID, manifestOf, tensorOf } from "./samples.ts";

const CHUNK_BYTES = 64 * 1024;
const TENSOR = tensorOf("noise", "u8", [10 * CHUNK_BYTES], 3);

function rawFile(): Promise<Uint8Array> {
  const options = { codec: "raw", chunkBytes: CHUNK_BYTES, fileId: FILE_ID } as const;
  return writeContainer({ ...options, tensors: [TENSOR], manifest: manifestOf(null) });
}

/** A source whose reads of chunks take a few turns of the event loop, and what they do meanwhile. */
function slowSource(file: Uint8Array): { source: ByteSource; most: () => number; underWay: () => number } {
  const inner = bytesSource(file);
  let underWay = 0;
  let most = 0;
  const source: ByteSource = {
    byteLength: inner.byteLength,
    preferredReadBytes: 2 * CHUNK_BYTES,
    async read(offset, into) {
      underWay++;
      most = Math.max(most, underWay);
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setTimeout(resolve));
      await inner.read(offset, into);
      underWay--;
    },
  };
  return { source, most: () => most, underWay: () => underWay };
}

describe("DirectReads", () => {
  test("reads the next while the one before is not checked, and no more than two at once", async () => {
    const { source, most } = slowSource(await rawFile());
    const reader = await ContainerReader.open(source);
    const seen: number[] = [];
    const bytes = await reader.read("noise", { onProgress: ({ done }) => void seen.push(done) });
    expect(Buffer.compare(bytes, TENSOR.bytes)).toBe(0);
    expect(most()).toBe(2);
    expect(seen).toEqual(Array.from({ length: 10 }, (_, i) => (i + 1) * CHUNK_BYTES));
  });

  test("reads nothing any more when it has failed", async () => {
    const file = await rawFile();
    file[4096 + 5] = (file[4096 + 5] as number) ^ 1;
    const { source, underWay } = slowSource(file);
    const reader = await ContainerReader.open(source);
    const error = await thrownBy(() => reader.read("noise"));
    expect(error).toMatchObject({ code: "checksum_mismatch" });
    expect(error.message).toContain('chunk 0 of "noise"');
    expect(underWay()).toBe(0);
  });

  test("reads nothing any more when it was aborted", async () => {
    const { source, underWay } = slowSource(await rawFile());
    const reader = await ContainerReader.open(source);
    const controller = new AbortController();
    const reason = new Error("stop");
    const onProgress = (): void => controller.abort(reason);
    const work = reader.read("noise", { signal: controller.signal, onProgress });
    expect(await thrownBy(() => work)).toBe(reason);
    expect(underWay()).toBe(0);
  });

  test("throws the first failure when it is its turn, and forgets the others", async () => {
    const direct = new DirectReads();
    const heard: string[] = [];
    const failure = new Error("first");
    await direct.add(Promise.resolve(), () => void heard.push("zero"));
    await direct.add(Promise.reject(failure), () => void heard.push("one"));
    const late = Promise.reject(new Error("second"));
    expect(await thrownBy(() => direct.add(late, () => void heard.push("two")))).toBe(failure);
    await direct.abandon();
    expect(heard).toEqual(["zero"]);
  });
});
