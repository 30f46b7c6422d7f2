import { describe, expect, test } from "bun:test";
import zlib from "node:zlib";
import { CairnError } from "../../../src/base/errors.ts";
import { ContainerReader } from "../../../src/container/read/container_reader.ts";
import { bytesSource } from "../../../src/container/source.ts";
import { writeContainer } from "../../../src/container/write/write_container.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { bytesOf, FILE_ID, sampleManifest, sampleTensors } from "../samples.ts";

const CODES: ReadonlySet<string> = new Set([
  "not_a_container",
  "truncated",
  "invalid_container",
  "checksum_mismatch",
  "unsupported",
  "limit_exceeded",
]);

const NAMES = sampleTensors().map((tensor) => tensor.spec.name);
const BYTES = new Map(sampleTensors().map((tensor) => [tensor.spec.name, tensor.bytes]));
BYTES.set("tied", BYTES.get("weight") ?? new Uint8Array(0));

async function sampleFile(
  codec: "raw" | "deflate" | "planes",
  fileId: Uint8Array = FILE_ID,
): Promise<Uint8Array> {
  return await writeContainer({
    tensors: sampleTensors(),
    manifest: sampleManifest(),
    fileId,
    codec,
    chunkBytes: 256,
  });
}

/** What a reader makes of the bytes: the code that open() or a damaged chunk gave, or "accepted". */
async function verdict(file: Uint8Array): Promise<string> {
  let reader: ContainerReader;
  try {
    reader = await ContainerReader.open(bytesSource(file));
  } catch (error) {
    if (error instanceof CairnError && CODES.has(error.code)) return error.code;
    throw new Error("open() threw something that is no verdict on a file", { cause: error });
  }
  const { ok, damaged } = await reader.verify();
  if (ok) return "accepted";
  await expectOnlyTheseDamaged(reader, new Set(damaged.flatMap((damage) => damage.tensors)));
  return "damaged";
}

/** Every tensor that is not in `damaged` reads as it was written, and every one that is throws. */
async function expectOnlyTheseDamaged(reader: ContainerReader, damaged: ReadonlySet<string>): Promise<void> {
  for (const name of NAMES) {
    try {
      const bytes = await reader.read(name);
      if (Buffer.compare(bytes, BYTES.get(name) as Uint8Array) !== 0) {
        throw new Error(`"${name}" reads wrong bytes`);
      }
      if (damaged.has(name)) throw new Error(`"${name}" is said to be damaged, but reads`);
    } catch (error) {
      if (!damaged.has(name) || !(error instanceof CairnError)) throw error;
    }
  }
}

for (const codec of ["raw", "deflate", "planes"] as const) {
  describe(`a damaged container of the codec ${codec}`, () => {
    test("every single-bit flip is noticed, and spoils no tensor but those it hits (E1)", async () => {
      const file = await sampleFile(codec);
      const counts: Record<string, number> = {};
      for (let at = 0; at < file.byteLength; at++) {
        const byte = file[at] as number;
        for (let bit = 0; bit < 8; bit++) {
          file[at] = byte ^ (1 << bit);
          const result = await verdict(file);
          if (result === "accepted") throw new Error(`a flip of bit ${bit} of byte ${at} passed`);
          counts[result] = (counts[result] ?? 0) + 1;
        }
        file[at] = byte;
      }
      expect(await verdict(file)).toBe("accepted");
      expect(Object.values(counts).reduce((sum, count) => sum + count)).toBe(file.byteLength * 8);
      // The magic's bits, and nothing else, make it another kind of file.
      expect(counts.not_a_container).toBe(64);
      expect(counts.damaged).toBeGreaterThan(1000);
    }, 600_000);

    test("every byte set to 00, FF or its complement is noticed (E2)", async () => {
      const file = await sampleFile(codec);
      let changed = 0;
      for (let at = 0; at < file.byteLength; at++) {
        const byte = file[at] as number;
        for (const value of [0x00, 0xff, byte ^ 0xff]) {
          if (value === byte) continue;
          file[at] = value;
          if (await verdict(file) === "accepted") throw new Error(`byte ${at} as ${value} passed`);
          changed++;
        }
        file[at] = byte;
      }
      expect(changed).toBeGreaterThan(2 * file.byteLength);
    }, 600_000);

    test("every burst of 2 to 32 bits behind the zeros is noticed (E2)", async () => {
      const file = await sampleFile(codec);
      for (const length of [2, 3, 7, 8, 9, 16, 31, 32]) {
        for (let start = 4096 * 8; start + length <= file.byteLength * 8; start += 5) {
          const broken = file.slice();
          for (let bit = start; bit < start + length; bit++) {
            broken[bit >>> 3] = (broken[bit >>> 3] as number) ^ (1 << (bit & 7));
          }
          if (await verdict(broken) === "accepted") {
            throw new Error(`a burst of ${length} at bit ${start} passed`);
          }
        }
      }
    }, 600_000);

    test("every block of 64, 512 or 4096 bytes zeroed, swapped or from an older file is noticed (E2)", async () => {
      const file = await sampleFile(codec);
      const older = await sampleFile(codec, FILE_ID.map((byte) => byte ^ 1));
      const firstBytes = (from: Uint8Array, at: number, size: number): Uint8Array =>
        from.slice(at, at + size);
      for (const size of [64, 512, 4096]) {
        for (let at = 0; at < file.byteLength; at += size) {
          const others = [
            new Uint8Array(Math.min(size, file.byteLength - at)),
            firstBytes(older, at, size),
            ...[0, size, file.byteLength - size].map((from) =>
              firstBytes(file, from, Math.min(size, file.byteLength - at))
            ),
          ];
          for (const block of others) {
            const broken = file.slice();
            broken.set(block, at);
            if (Buffer.compare(broken, file) === 0) continue;
            if (await verdict(broken) === "accepted") throw new Error(`a block of ${size} at ${at} passed`);
          }
        }
      }
    });

    test("every truncation is noticed (F1)", async () => {
      const file = await sampleFile(codec);
      for (let length = 0; length < file.byteLength; length++) {
        const result = await verdict(file.subarray(0, length));
        if (result !== "truncated") throw new Error(`${length} bytes of ${file.byteLength} are ${result}`);
      }
    });

    test("whatever follows the end is noticed: no file is two things at once (F1)", async () => {
      const file = await sampleFile(codec);
      const zip = Uint8Array.of(0x50, 0x4b, 0x05, 0x06, ...new Uint8Array(18));
      const tails: [string, Uint8Array][] = [
        ["itself", file],
        ["another container", await sampleFile(codec, new Uint8Array(16))],
        ["its own trailer", file.slice(-128)],
        ["its own end from the tables on", file.slice(-1024)],
        ["an empty zip", zip],
        ["a PDF", new TextEncoder().encode("%PDF-1.4\n%%EOF\n")],
      ];
      for (let length = 1; length <= 4096; length = length < 130 ? length + 1 : length * 2) {
        tails.push([`${length} zeros`, new Uint8Array(length)], [
          `${length} bytes of noise`,
          bytesOf(length, length),
        ]);
      }
      for (const [name, tail] of tails) {
        const longer = new Uint8Array(Buffer.concat([file, tail]));
        if (await verdict(longer) === "accepted") throw new Error(`${name} behind the end passed`);
        const shifted = new Uint8Array(Buffer.concat([tail, file]));
        if (await verdict(shifted) === "accepted") throw new Error(`${name} in front passed`);
      }
    });

    test("verify names each damaged chunk and its tensors, and goes on", async () => {
      const file = await sampleFile(codec);
      const reader = await ContainerReader.open(bytesSource(file));
      const [first, , last] = reader.chunks;
      for (const chunk of [first, last]) {
        const at = chunk?.storedOffset ?? 0;
        file[at] = (file[at] as number) ^ 1;
      }
      const { ok, damaged } = await reader.verify();
      expect(ok).toBe(false);
      expect(damaged.map(({ chunk, tensors }) => ({ chunk, tensors }))).toEqual([
        { chunk: 0, tensors: ["weight", "tied"] },
        { chunk: 2, tensors: ["step"] },
      ]);
      expect(damaged[0]?.message).toMatch(
        /^Cannot read chunk 0 of "weight" and 1 more: its checksum is [0-9a-f]{8}, expected [0-9a-f]{8}; the file is damaged/,
      );
      const error = await thrownBy(() => reader.read("tied")) as CairnError;
      expect(error.code).toBe("checksum_mismatch");
      expect(error.message).toMatch(/^Cannot read chunk 0 of "tied": its checksum is/);
      expect(error.details).toEqual({ tensor: "tied", offset: 4096 });
      expect(await reader.read("bias")).toEqual(BYTES.get("bias") as Uint8Array);
    });
  });
}

describe("files of another kind", () => {
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text.padEnd(5000));
  const others: [string, Uint8Array][] = [
    ["a zip", Uint8Array.of(0x50, 0x4b, 3, 4, ...new Uint8Array(5000))],
    ["a PNG", Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, ...new Uint8Array(5000))],
    ["JSON", encode('{"a":1}')],
    ["a gzip", new Uint8Array(zlib.gzipSync(bytesOf(5000, 1)))],
    ["a safetensors file", Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d, ...new Uint8Array(5000))],
    ["zeros", new Uint8Array(8192)],
    ["noise", bytesOf(8192, 1)],
    ["one byte", Uint8Array.of(1)],
  ];
  for (const [name, bytes] of others) {
    test(`${name} is no container`, async () => {
      const error = await thrownBy(() => ContainerReader.open(bytesSource(bytes)));
      expect(error.code).toBe("not_a_container");
      expect(error.message).toMatch(/^This is no \.cairn file: it begins with/);
    });
  }

  test("a container that went through a text-mode copy is recognised as one", async () => {
    const file = await sampleFile("raw");
    const asUnix = file.filter((byte, i) => !(byte === 0x0d && file[i + 1] === 0x0a));
    const asLatin1 = Uint8Array.of(0xc2, ...file);
    const stripped = file.map((byte) => byte & 0x7f);
    for (const [bytes, hint] of [[asUnix, true], [stripped, true], [asLatin1, false]] as const) {
      const error = await thrownBy(() => ContainerReader.open(bytesSource(bytes)));
      expect(error.code).toBe("not_a_container");
      expect(error.message.includes("copied as text")).toBe(hint);
    }
  });

  test("an empty file is a truncated one", async () => {
    expect((await thrownBy(() => ContainerReader.open(bytesSource(new Uint8Array(0))))).code).toBe(
      "truncated",
    );
  });
});
