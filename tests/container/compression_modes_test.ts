import type { ContainerWriterOptions } from "../../src/container/write/container_writer_options.ts";
import { describe, expect, test } from "bun:test";
import type { CodecChoice } from "../../src/container/codec/choose.ts";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { ContainerWriter, type WriteReport } from "../../src/container/write/container_writer.ts";
import { BytesSink, bytesSource } from "../../src/container/source.ts";
import { writeContainerTo } from "../../src/container/write/write_container.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { asBytes, FILE_ID, manifestOf, weightsOf, withoutBuiltins } from "./samples.ts";

const CHUNK_BYTES = 1 << 16;
const tensors = [
  {
    spec: { name: "weights", dtype: "f32", shape: [1 << 16] } as const,
    bytes: asBytes(weightsOf(1 << 16, 7)),
  },
  {
    spec: { name: "ids", dtype: "u32", shape: [1 << 14] } as const,
    bytes: asBytes(Uint32Array.from({ length: 1 << 14 }, (_, i) => (i * 37) % 300)),
  },
];

async function written(change: Partial<ContainerWriterOptions>): Promise<WriteReport> {
  const sink = new BytesSink();
  const contents = { tensors, fileId: FILE_ID, chunkBytes: CHUNK_BYTES, manifest: manifestOf(null) };
  const report = await writeContainerTo(sink, { ...contents, ...change, tensors });
  const reader = await ContainerReader.open(bytesSource(sink.toBytes()));
  for (const { spec, bytes } of tensors) expect(Buffer.compare(await reader.read(spec.name), bytes)).toBe(0);
  return report;
}

/** Writes with a clock that runs only while the sink or the codec works, as fast as is said. */
async function writtenFast(writeMsPerChunk: number, encodeMsPerChunk: number): Promise<WriteReport> {
  let now = 0;
  let calls = 0;
  const sink = {
    write: () => {
      now += writeMsPerChunk;
      return Promise.resolve();
    },
  };
  const writer = await ContainerWriter.create(sink, {
    tensors: [{ name: "weights", dtype: "f32", shape: [1 << 20] }],
    fileId: FILE_ID,
    chunkBytes: CHUNK_BYTES,
    mode: "fast",
    // Called before and after each encoding, then before and after each write.
    now: () => {
      now += calls++ % 2 === 0 ? 0 : encodeMsPerChunk;
      return now;
    },
  });
  for (let i = 0; i < 16; i++) await writer.write(tensors[0]?.bytes as Uint8Array);
  return await writer.finish(manifestOf(null));
}

describe("the mode", () => {
  test("balanced is the default: planes, and the report says so", async () => {
    const report = await written({});
    expect(report.choice).toBe("balanced");
    expect(report.codecs).toEqual({ planes: 5 });
    expect(report.rates).toBeUndefined();
  });

  test("small takes for each chunk what is smallest", async () => {
    const [small, balanced] = [await written({ mode: "small" }), await written({ mode: "balanced" })];
    expect(small.codecs).toEqual({ planes: 4, zstd: 1 });
    expect(small.storedBytes).toBeLessThan(balanced.storedBytes);
    expect((await withoutBuiltins(() => written({ mode: "small" }))).codecs).toEqual({
      planes: 4,
      deflate: 1,
    });
  });

  test("fast codes where the disk is slow, and does not where it is fast", async () => {
    const slowDisk = await writtenFast(1000, 0.001);
    expect(slowDisk.codecs).toEqual({ planes: 64 });
    expect(slowDisk.rates?.write).toBeLessThan(CHUNK_BYTES);
    const fastDisk = await writtenFast(0.001, 10);
    expect(fastDisk.codecs).toEqual({ planes: 1, raw: 63 });
    expect(fastDisk.rates?.storedPerRaw).toBeCloseTo(0.835, 1);
    expect(fastDisk.rates?.encode).toBeGreaterThan(0);
  });

  test("can be another for single tensors", async () => {
    const report = await written({ tensorCodecs: { weights: "raw", ids: "deflate" } });
    expect(report.codecs).toEqual({ raw: 4, deflate: 1 });
    expect((await written({ codec: "zstd", tensorCodecs: { weights: "balanced" } })).codecs).toEqual({
      planes: 4,
      zstd: 1,
    });
  });
});

describe("ContainerWriter refuses", () => {
  const create = (change: object): Promise<ContainerWriter> =>
    ContainerWriter.create(new BytesSink(), {
      tensors: tensors.map(({ spec }) => spec),
      fileId: FILE_ID,
      ...change,
    } as ContainerWriterOptions);

  for (const choice of ["tiny", "lz4", ""] as string[] as CodecChoice[]) {
    test(`the mode "${choice}"`, async () => {
      expect(await thrownBy(() => create({ mode: choice }))).toBeInstanceOf(TypeError);
      expect(await thrownBy(() => create({ tensorCodecs: { ids: choice } }))).toBeInstanceOf(TypeError);
    });
  }

  test("a choice for a tensor that is not there", async () => {
    const error = await thrownBy(() => create({ tensorCodecs: { missing: "raw" } }));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/"missing"/);
  });

  test("to write zstd where the runtime has none", async () => {
    const error = await thrownBy(() => withoutBuiltins(() => create({ codec: "zstd" })));
    expect(error.code).toBe("unsupported");
  });
});
