import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../src/base/crc32/crc32.ts";
import { deflateRaw, inflateRaw } from "../../../src/exchange/zip/zip_deflate.ts";
import { ZipReader } from "../../../src/exchange/zip/zip_reader.ts";
import { ZipWriter } from "../../../src/exchange/zip/zip_writer.ts";
import { inflateRawStart, inflateRawStrictly } from "../../../src/container/codec/deflate/inflate.ts";
import { type ByteSource, BytesSink, bytesSource } from "../../../src/container/source.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { latin1 } from "../torch_files.ts";

const A = latin1("the first entry");
const B = new Uint8Array(500).fill(7);

/** Two entries: "a" is stored, "bb" is deflated. */
async function sample(): Promise<Uint8Array> {
  const sink = new BytesSink();
  const zip = new ZipWriter(sink);
  await zip.store("a", A.byteLength, (into) => into.write(A));
  await zip.storeDeflated("bb", deflateRaw(B), { checksum: crc32(B), rawLength: B.byteLength });
  await zip.finish();
  return sink.toBytes();
}

const file = await sample();
const end = file.byteLength - 22;
const directory = new DataView(file.buffer).getUint32(end + 16, true);
/** Where the directory's entries are, and the header of the second file. */
const [entryA, entryB] = [directory, directory + 47];
const headerB = new DataView(file.buffer).getUint32(entryB + 42, true);

/** Reads everything; "read" when there was nothing wrong. */
async function outcome(bytes: Uint8Array): Promise<string> {
  try {
    const zip = await ZipReader.open(bytesSource(bytes));
    for (const entry of zip.entries.values()) await zip.read(entry);
    return "read";
  } catch (error) {
    return `${(error as { code?: string }).code ?? error}: ${(error as Error).message}`;
  }
}

type Edit = (bytes: Uint8Array, view: DataView) => Uint8Array | void;

function edited(edit: Edit): Uint8Array {
  const bytes = file.slice();
  return edit(bytes, new DataView(bytes.buffer)) ?? bytes;
}

const u16 = (at: number, value: number): Edit => (_, view) => view.setUint16(at, value, true);
const u32 = (at: number, value: number): Edit => (_, view) => view.setUint32(at, value, true);

const BAD: [name: string, message: RegExp, edit: Edit][] = [
  ["an empty file", /truncated: .*has 0 bytes/, () => new Uint8Array(0)],
  ["a file cut off", /invalid_file: .*cut off, or something follows/, (bytes) => bytes.slice(0, -1)],
  ["a byte behind the end", /something follows/, (bytes) => Uint8Array.of(...bytes, 0)],
  ["the length of a comment that is not there", /something follows/, u16(end + 20, 3)],
  ["a comment that is cut off", /something follows/, (bytes, view) => {
    view.setUint16(end + 20, 3, true);
    return Uint8Array.of(...bytes, 1, 2);
  }],
  ["another disk", /unsupported: .*several parts/, u16(end + 4, 1)],
  ["more entries on another disk", /unsupported: .*several parts/, u16(end + 10, 3)],
  ["an entry too many", /has 2 entries, expected 3/, (_, view) => {
    view.setUint16(end + 8, 3, true);
    view.setUint16(end + 10, 3, true);
  }],
  ["a directory that starts too early", /header has another signature/, u32(end + 16, directory - 1)],
  ["a directory beyond the file", /directory ends at byte/, u32(end + 16, 0xffff_ffff)],
  ["a directory of 4 GiB", /directory ends at byte/, u32(end + 12, 0xffff_ffff)],
  ["an entry without its signature", /directory is damaged/, u32(entryA, 0)],
  ["a name beyond the directory", /directory is damaged/, u16(entryB + 28, 0xffff)],
  ["a name that is not UTF-8", /name in it is not UTF-8/, (bytes) => void (bytes[entryA + 46] = 0xff)],
  ["encryption", /unsupported: .*"a" is encrypted/, u16(entryA + 8, 0x809)],
  ["an unknown method", /unsupported: .*method 9, expected 0/, u16(entryA + 10, 9)],
  ["a stored entry of two lengths", /is stored, but has 14 bytes for 15/, u32(entryA + 20, 14)],
  ["a bomb", /promises 4000000 bytes from/, u32(entryB + 24, 4_000_000)],
  ["a length of 4 GiB without its field", /no zip64 field/, u32(entryB + 24, 0xffff_ffff)],
  ["an entry that shares bytes with the next", /"a" shares bytes/, (_, view) => {
    view.setUint32(entryA + 20, 100, true);
    view.setUint32(entryA + 24, 100, true);
  }],
  ["an entry that shares bytes with the directory", /"bb" shares bytes/, u32(entryB + 20, 2000)],
  ["two entries in one place", /shares bytes/, u32(entryB + 42, 0)],
  ["a first entry that is not the first", /header has another signature/, u32(entryA + 42, 1)],
  ["a header without its signature", /header has another signature/, u32(headerB, 0)],
  ["a header of another method", /header has another signature/, u16(headerB + 8, 0)],
  ["a header of other flags", /header has another signature/, u16(headerB + 6, 0)],
  ["a header of another name", /header has another signature/, (bytes) => void (bytes[headerB + 30] = 0x63)],
  ["a header with more behind its name", /leaves 15 bytes up to the next/, u16(headerB + 28, 1)],
  ["another checksum", /checksum_mismatch: .*"a".*damaged there/, u32(entryA + 16, 1)],
  ["a changed byte", /checksum_mismatch: .*"a"/, (bytes) => void (bytes[31] = 0)],
  [
    "a changed byte in a stream",
    /(invalid_file|checksum_mismatch): .*"bb"/,
    (bytes) => void (bytes[headerB + 33] = 0xff),
  ],
  ["a stream that holds more", /invalid_file: .*"bb"/, u32(entryB + 24, 499)],
  ["a stream that holds less", /holds 500 bytes, expected 501/, u32(entryB + 24, 501)],
];

describe("zip files", () => {
  test("what was written is read", async () => {
    const zip = await ZipReader.open(bytesSource(file));
    expect(await outcome(file)).toBe("read");
    const read = await Promise.all([...zip.entries.values()].map((entry) => zip.read(entry)));
    expect(read).toEqual([A, B]);
  });

  for (const [name, message, edit] of BAD) {
    test(`${name}: refused`, async () => {
      expect(await outcome(edited(edit))).toMatch(message);
    });
  }

  test("the same name twice: refused", async () => {
    const sink = new BytesSink();
    const zip = new ZipWriter(sink);
    for (let i = 0; i < 2; i++) await zip.store("a", A.byteLength, (into) => into.write(A));
    await zip.finish();
    expect(await outcome(sink.toBytes())).toMatch(/invalid_file: .*"a" is in it twice/);
  });

  const comment = (bytes: Uint8Array, length: number): Uint8Array => {
    const found = new Uint8Array(bytes.byteLength + length).fill(0x20);
    found.set(bytes);
    new DataView(found.buffer).setUint16(bytes.byteLength - 2, length, true);
    return found;
  };
  const preceded = (bytes: Uint8Array, ...more: number[]): Uint8Array => Uint8Array.of(...more, ...bytes);
  const accepted: [string, Uint8Array][] = [
    ["a comment", comment(file, 3)],
    ["a comment of a byte", comment(file, 1)],
    ["the longest comment", comment(file, 65_535)],
    [
      "a comment that looks like an end",
      (() => {
        const bytes = comment(file, 60);
        bytes.set(file.subarray(end, end + 20), file.byteLength + 5);
        return bytes;
      })(),
    ],
    ["bytes in front", preceded(file, 1, 2, 3)],
    [
      "a program in front, which begins like a zip file",
      preceded(file, 0x50, 0x4b, 3, 4, ...new Uint8Array(500)),
    ],
    ["bytes in front and a comment", comment(preceded(file, 7), 40)],
    [
      "bytes in front that the offsets count too",
      edited((bytes, view) => {
        for (const at of [entryA, entryB]) view.setUint32(at + 42, view.getUint32(at + 42, true) + 2, true);
        view.setUint32(end + 16, directory + 2, true);
        return preceded(bytes, 0, 0);
      }),
    ],
  ];
  for (const [name, bytes] of accepted) {
    test(`${name}: read`, async () => {
      const zip = await ZipReader.open(bytesSource(bytes));
      const read = await Promise.all([...zip.entries.values()].map((entry) => zip.read(entry)));
      expect(read).toEqual([A, B]);
    });
  }

  test("an entry that cannot be read is named, and the others are read", async () => {
    for (const edit of [u16(entryA + 10, 12), u16(entryA + 10, 14), u16(entryA + 8, 0x809)]) {
      const zip = await ZipReader.open(bytesSource(edited(edit)));
      const [a, b] = [...zip.entries.values()];
      if (a === undefined || b === undefined) throw new Error("there have to be two entries");
      expect((await thrownBy(() => zip.read(a))).code).toBe("unsupported");
      expect((await thrownBy(() => zip.source(a))).code).toBe("unsupported");
      expect(await zip.read(b)).toEqual(B);
    }
  });

  test("folders are entries of no bytes", async () => {
    const sink = new BytesSink();
    const zip = new ZipWriter(sink);
    await zip.store("folder/", 0, () => Promise.resolve());
    await zip.store("folder/a", A.byteLength, (into) => into.write(A));
    await zip.finish();
    expect(await outcome(sink.toBytes())).toBe("read");
  });

  test("an old name is of the code page of the first PCs, and every name is UTF-8 where that fits", async () => {
    for (
      const [bytes, name] of [[[0x81, 0x62], "üb"], [[0xc3, 0xbc], "ü"], [[0xff, 0x41], "\u00a0A"]] as const
    ) {
      const sink = new BytesSink();
      const zip = new ZipWriter(sink);
      await zip.store("xx", A.byteLength, (into) => into.write(A));
      await zip.finish();
      const changed = sink.toBytes();
      const view = new DataView(changed.buffer);
      const at = view.getUint32(changed.byteLength - 6, true);
      for (const [flags, start] of [[6, 30], [at + 8, at + 46]] as const) {
        view.setUint16(flags, view.getUint16(flags, true) & ~0x800, true);
        changed.set(bytes, start);
      }
      const reader = await ZipReader.open(bytesSource(changed));
      expect([...reader.entries.keys()]).toEqual([name]);
      expect(await outcome(changed)).toBe("read");
    }
  });

  test("nothing is inflated beyond maxBytes, which the message names", async () => {
    const zip = await ZipReader.open(bytesSource(file));
    for (const entry of zip.entries.values()) {
      const error = await thrownBy(() => zip.read(entry, entry.rawLength - 1));
      expect(error.code).toBe("limit_exceeded");
      expect(error.message).toContain(
        `it has ${entry.rawLength} bytes, and maxBytes is ${entry.rawLength - 1}`,
      );
      expect((await zip.read(entry, entry.rawLength)).byteLength).toBe(entry.rawLength);
    }
  });

  test("no truncation is accepted", async () => {
    for (let length = 0; length < file.byteLength; length++) {
      expect(await outcome(file.slice(0, length))).toMatch(/^(truncated|invalid_file): /);
    }
  });

  test("every single flipped bit is either noticed or changes nothing that is read", async () => {
    let noticed = 0;
    for (let bit = 0; bit < 8 * file.byteLength; bit++) {
      const bytes = file.slice();
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      const result = await outcome(bytes);
      if (result !== "read") {
        expect(result).toMatch(/^(truncated|invalid_file|unsupported|checksum_mismatch|limit_exceeded): /);
        noticed++;
      }
    }
    // Dates, versions and the copies of lengths behind the entries are not looked at.
    expect(noticed / (8 * file.byteLength)).toBeGreaterThan(0.5);
  });

  test("entries and files of more than 4 GiB go both ways", async () => {
    // Only what is not zero is kept, and zeros are made up again.
    const kept: { offset: number; bytes: Uint8Array }[] = [];
    let length = 0;
    const zeros = new Uint8Array(1 << 26);
    const zip = new ZipWriter({
      write: (bytes) => {
        if (bytes !== zeros) kept.push({ offset: length, bytes: bytes.slice() });
        length += bytes.byteLength;
        return Promise.resolve();
      },
    });
    const large = 65 * zeros.byteLength;
    await zip.store("large", large, async (into) => {
      for (let i = 0; i < 65; i++) await into.write(zeros);
    });
    await zip.store("behind", A.byteLength, (into) => into.write(A));
    await zip.finish();
    const source: ByteSource = {
      byteLength: length,
      read: (offset, into) => {
        into.fill(0);
        for (const { offset: at, bytes } of kept) {
          const start = Math.max(offset, at);
          const stop = Math.min(offset + into.byteLength, at + bytes.byteLength);
          if (start < stop) into.set(bytes.subarray(start - at, stop - at), start - offset);
        }
        return Promise.resolve();
      },
    };
    const [header] = kept;
    if (header === undefined) throw new Error("nothing was written");
    // The header says that the lengths behind the bytes have 64 bits.
    expect(new DataView(header.bytes.buffer).getUint16(28, true)).toBe(20);
    const reader = await ZipReader.open(source);
    const [first, behind] = [...reader.entries.values()];
    if (first === undefined || behind === undefined) throw new Error("there have to be two entries");
    expect([first.rawLength, first.storedLength]).toEqual([large, large]);
    expect(behind.headerOffset).toBeGreaterThan(2 ** 32);
    expect(await reader.read(behind)).toEqual(A);
    expect((await reader.source(first)).byteLength).toBe(large);
  }, 600_000);
});

describe("the start of a DEFLATE stream", () => {
  const noise = Uint8Array.from({ length: 200_000 }, (_, i) => Math.imul(i + 1, 2654435761) >>> 13);
  for (const [name, raw] of [["zeros", new Uint8Array(500_000)], ["noise", noise], ["little", A]] as const) {
    test(`of ${name}: its first bytes, whether or not the rest is there`, () => {
      const stream = deflateRaw(raw);
      for (const length of [0, 1, 100, 70_000]) {
        const wanted = Math.min(length, raw.byteLength);
        const found = inflateRawStart(stream, length);
        expect(found.byteLength).toBeGreaterThanOrEqual(wanted);
        expect(found.byteLength).toBeLessThan(length + 66_000);
        expect(found).toEqual(raw.subarray(0, found.byteLength));
        const cut = inflateRawStart(stream.subarray(0, stream.byteLength >> 1), length);
        expect(cut).toEqual(raw.subarray(0, cut.byteLength));
      }
    });
  }
});

describe("DEFLATE streams", () => {
  const streams: [name: string, raw: Uint8Array][] = [
    ["nothing", new Uint8Array(0)],
    ["a byte", Uint8Array.of(1)],
    ["zeros", new Uint8Array(100_000)],
    ["noise", Uint8Array.from({ length: 10_000 }, (_, i) => Math.imul(i + 1, 2654435761) >>> 13)],
  ];
  for (const [name, raw] of streams) {
    test(`of ${name} decode to their bytes, and to no other number of them, with and without node:zlib`, async () => {
      const stream = deflateRaw(raw);
      for (const inflate of [inflateRaw, inflateRawStrictly]) {
        expect(inflate(stream, raw.byteLength)).toEqual(raw);
        const wrong: [Uint8Array, number][] = [
          [stream, raw.byteLength + 1],
          [Uint8Array.of(...stream, 0), raw.byteLength],
          [stream.subarray(0, -1), raw.byteLength],
        ];
        if (raw.byteLength > 0) wrong.push([stream, raw.byteLength - 1]);
        for (const [bytes, rawLength] of wrong) {
          expect((await thrownBy(() => inflate(bytes, rawLength))).name).toBe("CairnError");
        }
      }
    });
  }
});
