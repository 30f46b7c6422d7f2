import { gzipSync } from "fflate";
import { describe, expect, test } from "bun:test";
import { type ByteSource, BytesSink, bytesSource } from "../../../src/container/source.ts";
import { openClassFolders } from "../../../src/data/files/class_folders.ts";
import { openRows, type OpenRowsOptions } from "../../../src/data/files/open_rows.ts";
import { examplesOf } from "../../../src/data/rows/examples_of.ts";
import { MapLoader } from "../../../src/data/map_loader.ts";
import { writeNpy } from "../../../src/exchange/numpy/npy.ts";
import { writeSafetensors } from "../../../src/exchange/safetensors/write_safetensors.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { thrownBy } from "../../helpers/thrown.ts";

const tensor = HostTensor.from(Float32Array.from({ length: 5000 * 6 }, (_, at) => at / 4), [5000, 2, 3]);

async function npy(of: HostTensor): Promise<Uint8Array> {
  const sink = new BytesSink();
  await writeNpy(sink, of);
  return sink.toBytes();
}

/** An IDX file of big-endian elements, as `elementBytes` each. */
function idx(type: number, shape: readonly number[], elements: Uint8Array): Uint8Array {
  const head = new DataView(new ArrayBuffer(4 + 4 * shape.length));
  head.setUint8(2, type);
  head.setUint8(3, shape.length);
  shape.forEach((size, axis) => head.setUint32(4 + 4 * axis, size));
  return Uint8Array.of(...new Uint8Array(head.buffer), ...elements);
}

async function rowOf(bytes: Uint8Array, index: number, options: OpenRowsOptions = {}): Promise<HostTensor> {
  const rows = await openRows(bytesSource(bytes), options);
  const { dtype, shape } = rows.row;
  const read = await rows.read(index, 1);
  await rows.close();
  return HostTensor.fromBytes(read, dtype, shape);
}

describe("openRows", () => {
  test("DA-05 reads a row of an npy file, and no more of the file than its header and the row", async () => {
    const bytes = await npy(tensor);
    let read = 0;
    const source: ByteSource = {
      byteLength: bytes.byteLength,
      read(offset, into) {
        read += into.byteLength;
        return bytesSource(bytes).read(offset, into);
      },
    };
    const rows = await openRows(source);
    expect([rows.length, rows.row]).toEqual([5000, { dtype: "f32", shape: [2, 3] }]);
    const row = await rows.read(4321, 2);
    expect(row).toEqual(tensor.bytes.slice(4321 * 24, 4323 * 24));
    expect(read).toBeLessThan(3000);
    expect((await thrownBy(() => rows.read(4999, 2))).message).toContain("There are no rows 4999 to 5001");
  });

  test("DA-05 reads rows of IDX files, as they are and as gzip, with their bytes turned round", async () => {
    const images = Uint8Array.from({ length: 4 * 6 }, (_, at) => at);
    for (const file of [idx(8, [4, 2, 3], images), gzipSync(idx(8, [4, 2, 3], images))]) {
      const row = await rowOf(file, 2);
      expect([row.dtype, row.shape, [...row.bytes]]).toEqual(["u8", [2, 3], [12, 13, 14, 15, 16, 17]]);
    }
    const numbers = new DataView(new ArrayBuffer(12));
    [1, -2, 70_000].forEach((number, at) => numbers.setInt32(4 * at, number));
    const label = await rowOf(idx(12, [3], new Uint8Array(numbers.buffer)), 2);
    expect([label.dtype, label.shape, [...label.toArray()]]).toEqual(["i32", [], [70_000]]);
  });

  test("DA-05 reads rows of a tensor of a safetensors file", async () => {
    const sink = new BytesSink();
    await writeSafetensors(sink, { other: HostTensor.from([1]), images: tensor });
    const row = await rowOf(sink.toBytes(), 7, { tensor: "images" });
    expect([...row.toArray()]).toEqual([...tensor.toArray().slice(42, 48)]);
    expect((await thrownBy(() => rowOf(sink.toBytes(), 7))).message).toContain("say which with tensor");
    expect((await thrownBy(() => rowOf(sink.toBytes(), 7, { tensor: "image" }))).message).toContain(
      'it has no tensor "image" among',
    );
  });

  test("DA-05 reads elements without a header, whose dtype is given", async () => {
    const bytes = new Uint8Array(Uint16Array.from({ length: 30 }, (_, at) => 1000 * at).buffer);
    const row = await rowOf(bytes, 2, { dtype: "u16", shape: [5] });
    expect([...row.toArray()]).toEqual([10_000, 11_000, 12_000, 13_000, 14_000]);
    expect((await thrownBy(() => rowOf(bytes, 0, { dtype: "u16", shape: [7] }))).message).toContain(
      "its 60 bytes are no whole number of rows of 14 bytes",
    );
  });

  test("DA-05 what cannot be read is refused with what was found", async () => {
    const cut = (await npy(tensor)).subarray(0, -1);
    expect(await thrownBy(() => rowOf(cut, 0))).toMatchObject({ code: "truncated" });
    const short = idx(8, [4, 2, 3], new Uint8Array(23));
    expect((await thrownBy(() => rowOf(short, 0))).message).toContain("expected 40 for u8 [4, 2, 3]");
    const text = new TextEncoder().encode("hello, hello, hello");
    expect((await thrownBy(() => rowOf(text, 0))).message).toContain("no npy, IDX or safetensors file");
    expect((await thrownBy(() => openRows("/nowhere/x.npy"))).message).toContain("/nowhere/x.npy");
  });

  test("DA-05 rows of two files are the examples of a loader, which describes both", async () => {
    const labels = Uint8Array.from({ length: 5000 }, (_, at) => at % 10);
    const loader = await MapLoader.open(
      examplesOf({
        inputs: await openRows(bytesSource(await npy(tensor))),
        labels: await openRows(bytesSource(idx(8, [5000], labels))),
      }),
      { batchSize: 4, shuffle: true },
    );
    const request = { seed: 1, epoch: 0, position: 9 };
    const batch = await loader.batchAt(request);
    expect([...batch.labels as Uint8Array]).toEqual(loader.indicesAt(request).map((index) => index % 10));
    expect(await loader.describe()).toMatchObject({
      map: { inputs: { name: "rows", dtype: "f32", shape: [5000, 2, 3] }, labels: { dtype: "u8" } },
    });
  });
});

describe("openClassFolders", () => {
  test("DA-05 gives the files of the folders of classes with their labels", async () => {
    const storage = new MemoryStorage();
    for (const path of ["dogs/b.bin", "cats/a.bin", "cats/.hidden", "dogs/c.bin"]) {
      await storage.makeDirectory(path.slice(0, 4));
      const writer = await storage.createExclusive(path);
      await writer.write(new TextEncoder().encode(path));
      await writer.close();
    }
    const folders = await openClassFolders(storage);
    expect([folders.length, folders.classes, [...folders.classLabels]]).toEqual([3, ["cats", "dogs"], [
      0,
      1,
      1,
    ]]);
    const loader = await MapLoader.open(folders, {
      batchSize: 3,
      labels: { dtype: "u32", shape: [] },
      transform: ({ bytes, label }) => ({ inputs: bytes.subarray(0, 6), labels: label }),
    });
    const { inputs, labels } = await loader.batchAt({ seed: 0, epoch: 0, position: 0 });
    expect(new TextDecoder().decode(inputs as Uint8Array)).toBe("cats/adogs/bdogs/c");
    expect([...labels as Uint32Array]).toEqual([0, 1, 1]);
    expect((await thrownBy(() => openClassFolders(new MemoryStorage()))).message).toContain(
      "give one a folder for each class",
    );
  });
});
