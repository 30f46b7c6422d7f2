import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { codecByName } from "../../src/container/codec/table.ts";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { ContainerWriter } from "../../src/container/write/container_writer.ts";
import { BytesSink, bytesSource } from "../../src/container/source.ts";
import { writeContainer } from "../../src/container/write/write_container.ts";
import { encodeManifest } from "./manifest_at_once.ts";
import { asMade, contentsOf, GOLDEN_FILES, goldenBytes, type GoldenFile } from "../golden/golden_files.ts";
import { rewritten } from "../golden/rewritten.js";

const CLASSES = { ContainerReader, ContainerWriter, BytesSink, bytesSource };
const MAX_TOTAL_BYTES = 256 * 1024;

const open = (bytes: Uint8Array): Promise<ContainerReader> => ContainerReader.open(bytesSource(bytes));

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");

test("there are a dozen golden files, all of them listed, and small (M1)", () => {
  const folder = new URL("../golden/", import.meta.url);
  const found = readdirSync(folder).filter((file) => file.endsWith(".cairn"));
  expect(GOLDEN_FILES.map(({ file }) => file).sort()).toEqual(found.sort());
  expect(found.length).toBeGreaterThanOrEqual(12);
  const bytes = found.reduce((sum, file) => sum + goldenBytes(file).byteLength, 0);
  expect(bytes).toBeLessThanOrEqual(MAX_TOTAL_BYTES);
});

for (const golden of GOLDEN_FILES) {
  describe(`the golden file ${golden.file}`, () => {
    const bytes = goldenBytes(golden.file);

    test("gives back what was put in, tensor by tensor and to the last state value (M1)", async () => {
      const { tensors, manifest, fileId } = contentsOf(golden);
      const reader = await open(bytes);
      expect(await reader.verify()).toEqual({ ok: true, damaged: [] });
      expect(hex(encodeManifest(reader.manifest))).toBe(hex(encodeManifest(manifest)));
      expect(reader.fileId).toBe(hex(fileId).replaceAll(" ", ""));
      expect(reader.tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape }))).toEqual(
        tensors.map(({ spec: { name, dtype, shape } }) => ({ name, dtype, shape: [...shape] })),
      );
      for (const { spec, bytes } of tensors) {
        let source = { spec, bytes };
        while (source.spec.aliasOf !== undefined) {
          source = tensors.find(({ spec }) => spec.name === source.spec.aliasOf) ?? source;
        }
        expect(Buffer.compare(await reader.read(spec.name), source.bytes)).toBe(0);
      }
      if (tensors.some(({ bytes }) => bytes.byteLength > 1000)) {
        expect(reader.chunks.some(({ codec }) => codec.name === golden.codec)).toBe(true);
      }
    });

    if (golden.rewrites === "nowhere") rewritesToTheSameTensors(golden, bytes);
    else rewritesToTheSameBytes(golden, bytes);
  });
}

function rewritesToTheSameBytes(golden: GoldenFile, bytes: Uint8Array): void {
  test("is written again byte for byte, from what was read and from what was put in (M1)", async () => {
    const ofRead = await asMade(golden, () => rewritten(CLASSES, bytes, golden));
    expect(Buffer.compare(ofRead, bytes)).toBe(0);
    const ofContents = await asMade(golden, () => writeContainer(contentsOf(golden)));
    expect(Buffer.compare(ofContents, bytes)).toBe(0);
  });
}

/** Every runtime has a deflate and a zstd of its own: all but the stored bytes of the chunks has to be the same. */
function rewritesToTheSameTensors(golden: GoldenFile, bytes: Uint8Array): void {
  test("is written again to the same tensors, chunks and manifest, whichever library codes them", async () => {
    if (!(codecByName(golden.codec).canEncode?.() ?? true)) {
      return console.log(`SKIP golden: this runtime cannot write ${golden.codec}`);
    }
    const [once, again] = [await open(bytes), await open(await rewritten(CLASSES, bytes, golden))];
    const seen = (reader: ContainerReader): unknown => ({
      fileId: reader.fileId,
      manifest: hex(encodeManifest(reader.manifest)),
      tensors: reader.tensors,
      chunks: reader.chunks.map(({ rawOffset, rawLength, rawCrc, dtype, codec }) =>
        [rawOffset, rawLength, rawCrc, dtype, codec.name].join()
      ),
    });
    expect(seen(again)).toEqual(seen(once));
    const all = await again.readRange(0, again.rawByteLength);
    expect(Buffer.compare(all, await once.readRange(0, once.rawByteLength))).toBe(0);
  });
}

/** The hex dumps of FORMAT.md: the file that was named last before each line, its offset and its bytes. */
function dumps(): { file: string; offset: number; bytes: string }[] {
  const text = readFileSync(new URL("../../FORMAT.md", import.meta.url), "utf8");
  let file = "";
  return text.split("\n").flatMap((line) => {
    file = line.match(/tests\/golden\/(\w+\.cairn)/)?.[1] ?? file;
    const dump = line.match(/^ {4}([0-9a-f]{8}) ((?: {1,2}[0-9a-f]{2})+)(?: |$)/);
    if (dump === null) return [];
    const [, offset = "", bytes = ""] = dump;
    return [{ file, offset: parseInt(offset, 16), bytes: bytes.trim().replace(/ +/g, " ") }];
  });
}

describe("little-endian, whatever the machine", () => {
  test("the bytes stand where FORMAT.md says (M1)", () => {
    const lines = dumps();
    expect(lines.length).toBeGreaterThanOrEqual(15);
    for (const { file, offset, bytes } of lines) {
      const length = bytes.split(" ").length;
      expect(`${offset}: ${hex(goldenBytes(file).subarray(offset, offset + length))}`).toBe(
        `${offset}: ${bytes}`,
      );
    }
  });

  // One element of each: the fourth of every tensor of integers, and of floats all odd numbers above zero.
  // deno-fmt-ignore
  const LITERALS: Readonly<Record<string, string>> = {
    bool: "00", u8: "01", i8: "96", // 1, -106
    u16: "0a 00", i16: "e9 fe", // 10, -279
    u32: "7f 00 00 00", i32: "f1 ff ff ff", // 127, -15
    u64: "c6 05 00 00 00 00 00 00", i64: "f3 ff ff ff ff ff ff ff", // 1478, -13
    // Zero, smallest and largest subnormal, smallest normal, 1, largest, infinity, a quiet NaN, with payload 5, a
    // signalling one.
    f16: "00 00 01 00 ff 03 00 04 00 3c ff 7b 00 7c 00 7e 05 7e 03 7c",
    bf16: "00 00 01 00 7f 00 80 00 80 3f 7f 7f 80 7f c0 7f c5 7f 83 7f",
    f32: "00 00 00 00 01 00 00 00 ff ff 7f 00 00 00 80 00 00 00 80 3f " +
      "ff ff 7f 7f 00 00 80 7f 00 00 c0 7f 05 00 c0 7f 03 00 80 7f",
    f64: "00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 ff ff ff ff ff ff 0f 00 00 00 00 00 00 00 10 00 " +
      "00 00 00 00 00 00 f0 3f ff ff ff ff ff ff ef 7f 00 00 00 00 00 00 f0 7f 00 00 00 00 00 00 f8 7f " +
      "05 00 00 00 00 00 f8 7f 03 00 00 00 00 00 f0 7f",
  };

  test("numbers of every dtype have their lowest byte first (M1)", async () => {
    const integers = await open(goldenBytes("v1_planes_integers.cairn"));
    for (const [dtype, literal] of Object.entries(LITERALS)) {
      const isFloat = dtype.includes("f");
      const reader = isFloat ? await open(goldenBytes(`v1_planes_${dtype}.cairn`)) : integers;
      const bytes = await reader.read(isFloat ? "odd" : `every.${dtype}`);
      const length = literal.split(" ").length;
      expect(`${dtype}: ${hex(bytes.subarray(isFloat ? 0 : 3 * length).subarray(0, length))}`).toBe(
        `${dtype}: ${literal}`,
      );
    }
  });
});
