import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { ContainerReader } from "../../src/container/container_reader.ts";
import { bytesSource } from "../../src/container/source.ts";
import { writeContainer } from "../../src/container/write_container.ts";
import { goldenContents } from "../golden/golden_contents.ts";

function golden(codec: "raw" | "deflate"): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../golden/v1_${codec}.cairn`, import.meta.url)));
}

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");

for (const codec of ["raw", "deflate"] as const) {
  describe(`the golden file of the codec ${codec}`, () => {
    test("reads to what was put in, tensor by tensor and to the last state value (M1)", async () => {
      const contents = goldenContents(codec);
      const reader = await ContainerReader.open(bytesSource(golden(codec)));
      expect(await reader.verify()).toEqual({ ok: true, damaged: [] });
      expect(reader.manifest).toStrictEqual(contents.manifest);
      expect(reader.fileId).toBe("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
      expect(reader.tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape }))).toEqual(
        contents.tensors.map(({ spec: { name, dtype, shape } }) => ({ name, dtype, shape: [...shape] })),
      );
      for (const { spec, bytes } of contents.tensors) {
        const source = contents.tensors.find((tensor) => tensor.spec.name === spec.aliasOf);
        expect(hex(await reader.read(spec.name))).toBe(hex(source?.bytes ?? bytes));
      }
      expect(reader.chunks.some((chunk) => chunk.codec.name === codec)).toBe(true);
    });
  });
}

test("the golden raw file is written again byte for byte (M1)", async () => {
  expect(Buffer.compare(await writeContainer(goldenContents("raw")), golden("raw"))).toBe(0);
});

test("a file of the codec deflate holds the same whichever zlib made it", async () => {
  const again = await ContainerReader.open(bytesSource(await writeContainer(goldenContents("deflate"))));
  const once = await ContainerReader.open(bytesSource(golden("deflate")));
  expect(again.rawByteLength).toBe(once.rawByteLength);
  const bytes = await again.readRange(0, again.rawByteLength);
  expect(Buffer.compare(bytes, await once.readRange(0, once.rawByteLength))).toBe(0);
});

test("the bytes stand where FORMAT.md says", () => {
  const file = golden("raw");
  expect(hex(file.subarray(0, 64))).toBe(
    [
      "89 43 52 4e 0d 0a 1a 0a 01 00 00 00 00 00 00 00",
      "00 00 00 00 00 10 00 00 a0 a1 a2 a3 a4 a5 a6 a7",
      "a8 a9 aa ab ac ad ae af 00 00 00 00 00 00 00 00",
      "00 00 00 00 00 00 00 00 00 00 00 00 HEADERCRC",
    ].join(" ").replace("HEADERCRC", hex(file.subarray(60, 64))),
  );
  expect(hex(file.subarray(file.byteLength - 8))).toBe("89 43 52 4e 45 4e 44 0a");
  // The first tensor's first weight, lowest byte first.
  expect(new DataView(file.buffer).getFloat32(4096, true)).toBe((1015568748 >> 8) / 2 ** 26);
});
