import zlib from "node:zlib";
import {
  both,
  chunk,
  CHUNKS,
  deflated,
  type Edit,
  header,
  planes,
  rename,
  renameTo,
  tensor,
  TENSORS,
  trailer,
  trailerBy,
} from "./file_edits.ts";
import { poke } from "./forge.ts";

type Bad = [name: string, code: string, edit: Edit];

const zeros = (length: number): Uint8Array =>
  new Uint8Array(zlib.deflateSync(new Uint8Array(length), { level: 9 }));

/** A plane of 64 zeros as a zlib stream. */
export const plane: Uint8Array = zeros(64);

/** Files with one fault each and correct checksums, so that only the reader's own rules can refuse them. */
export const BAD: Bad[] = [
  // header
  ["format version 0", "unsupported", header(8, 4, 0)],
  ["format version 2", "unsupported", header(8, 4, 2)],
  ["format version 4294967295", "unsupported", header(8, 4, 0xffff_ffff)],
  ["the flag for references to other files", "unsupported", header(12, 4, 1)],
  ["a required flag that nobody knows", "unsupported", header(12, 4, 0x8000_0000)],
  ["data that start elsewhere", "invalid_container", header(20, 4, 8192)],
  ["data that start at 0", "invalid_container", header(20, 4, 0)],
  ["something in the header's reserved bytes", "invalid_container", header(40, 1, 1)],
  ["something in the last reserved byte", "invalid_container", header(59, 1, 0x80)],
  ["something behind the header", "invalid_container", header(64, 1, 1)],
  ["something in the last byte before the data", "invalid_container", header(4095, 1, 1)],
  [
    "a wrong header checksum",
    "checksum_mismatch",
    both(header(60, 4, 7), (parts) => void (parts.keepHeaderCrc = true)),
  ],
  ["another magic", "not_a_container", header(0, 8, 0n)],
  ["a header of another file", "invalid_container", trailer(112, 4, 12345)],

  // trailer and sections
  ["a file length that is too small", "invalid_container", trailerBy(96, 8, -64)],
  ["a file length that is too large", "truncated", trailerBy(96, 8, 64)],
  ["a file length of 2^64 - 1", "truncated", trailer(96, 8, 2n ** 64n - 1n)],
  ["another raw length", "invalid_container", trailerBy(104, 8, 256)],
  ["a raw length of 2^53", "invalid_container", trailer(104, 8, 2n ** 53n)],
  ["a tensor table at 0", "invalid_container", trailer(0, 8, 0)],
  ["a tensor table inside the header", "invalid_container", trailer(0, 8, 64)],
  ["a tensor table one block early", "invalid_container", trailerBy(0, 8, -64)],
  ["a tensor table one block late", "invalid_container", trailerBy(0, 8, 64)],
  ["a tensor table off the grid", "invalid_container", trailerBy(0, 8, 8)],
  ["a tensor table at 2^63", "invalid_container", trailer(0, 8, 2n ** 63n)],
  ["a tensor table that runs into the next", "invalid_container", trailerBy(8, 8, 64)],
  ["a tensor table of 2^64 - 1 bytes", "invalid_container", trailer(8, 8, 2n ** 64n - 1n)],
  ["a tensor table of another checksum", "checksum_mismatch", trailer(16, 4, 1)],
  ["one tensor more", "invalid_container", trailer(20, 4, TENSORS + 1)],
  ["one tensor less", "invalid_container", trailer(20, 4, TENSORS - 1)],
  ["4294967295 tensors", "invalid_container", trailer(20, 4, 0xffff_ffff)],
  ["a chunk table that overlaps the tensor table", "invalid_container", trailerBy(24, 8, -64)],
  ["a chunk table after a hole", "invalid_container", trailerBy(24, 8, 64)],
  ["a chunk table of another checksum", "checksum_mismatch", trailer(40, 4, 1)],
  ["one chunk more", "invalid_container", trailer(44, 4, CHUNKS + 1)],
  ["one chunk less", "invalid_container", trailer(44, 4, CHUNKS - 1)],
  ["4294967295 chunks", "invalid_container", trailer(44, 4, 0xffff_ffff)],
  ["a reference without its flag", "invalid_container", (parts) => {
    parts.references = new Uint8Array(32);
    parts.referenceCount = 1;
  }],
  ["a count of references without references", "invalid_container", trailer(68, 4, 1)],
  [
    "bytes of references without a count",
    "invalid_container",
    (parts) => void (parts.references = new Uint8Array(32)),
  ],
  ["a reference table elsewhere", "invalid_container", trailerBy(48, 8, 64)],
  ["a reference table of another checksum", "checksum_mismatch", trailer(64, 4, 1)],
  ["a manifest of another checksum", "checksum_mismatch", trailer(88, 4, 1)],
  ["a count for the manifest", "invalid_container", trailer(92, 4, 1)],
  ["a manifest that reaches past the trailer", "invalid_container", trailerBy(80, 8, 1 << 20)],
  ["a manifest that ends a block before the trailer", "invalid_container", (parts) => {
    parts.manifest = new Uint8Array(Buffer.concat([parts.manifest, new Uint8Array(128)]));
    trailerBy(80, 8, -128)(parts);
  }],
  ["an empty manifest", "invalid_container", (parts) => void (parts.manifest = new Uint8Array(0))],

  // tensor table
  ["an empty tensor table", "invalid_container", (parts) => void (parts.tensors = new Uint8Array(0))],
  ["a tensor table of 7 bytes", "invalid_container", (parts) => void (parts.tensors = new Uint8Array(7))],
  ["one size more than there are", "invalid_container", (parts) => poke(parts.tensors, 0, 4, 8)],
  ["4294967295 sizes", "invalid_container", (parts) => poke(parts.tensors, 0, 4, 0xffff_ffff)],
  ["one name byte more than there are", "invalid_container", (parts) => poke(parts.tensors, 4, 4, 24)],
  ["4294967295 name bytes", "invalid_container", (parts) => poke(parts.tensors, 4, 4, 0xffff_ffff)],
  ["a byte behind the names", "invalid_container", (parts) => {
    parts.tensors = new Uint8Array(Buffer.concat([parts.tensors, new Uint8Array(1)]));
  }],
  ["a byte behind the names that is counted", "invalid_container", (parts) => {
    parts.tensors = new Uint8Array(Buffer.concat([parts.tensors, Uint8Array.of(0x61)]));
    poke(parts.tensors, 4, 4, 24);
  }],
  ["two tensors at one place (full overlap)", "invalid_container", tensor("rawOffset", 1, 8, 0)],
  ["a tensor that overlaps the one before", "invalid_container", tensor("rawOffset", 1, 8, 64)],
  ["a hole between two tensors", "invalid_container", tensor("rawOffset", 1, 8, 512)],
  [
    "a tensor before the first",
    "invalid_container",
    both(tensor("rawOffset", 0, 8, 256), tensor("rawOffset", 1, 8, 0)),
  ],
  ["an unaligned tensor", "invalid_container", tensor("rawOffset", 1, 8, 128)],
  ["a tensor at 2^53", "invalid_container", tensor("rawOffset", 3, 8, 2n ** 53n)],
  ["a tensor at 2^64 - 256", "invalid_container", tensor("rawOffset", 3, 8, 2n ** 64n - 256n)],
  ["a length that is not the shape's", "invalid_container", tensor("byteLength", 0, 8, 124)],
  ["a length of 0", "invalid_container", tensor("byteLength", 0, 8, 0)],
  ["a length of 2^64 - 1", "invalid_container", tensor("byteLength", 0, 8, 2n ** 64n - 1n)],
  ["a length for an empty tensor", "invalid_container", tensor("byteLength", 2, 8, 4)],
  ["a size of 2^53", "invalid_container", tensor("sizes", 0, 8, 2n ** 53n)],
  ["a size of 2^64 - 1", "invalid_container", tensor("sizes", 0, 8, 2n ** 64n - 1n)],
  [
    "sizes whose product wraps to the right one",
    "invalid_container",
    both(tensor("sizes", 0, 8, 2n ** 32n + 4n), tensor("sizes", 1, 8, 2n ** 32n + 8n)),
  ],
  [
    "94906267 x 94906267 elements",
    "invalid_container",
    both(tensor("sizes", 0, 8, 94906267), tensor("sizes", 1, 8, 94906267)),
  ],
  ["a huge size beside a zero", "invalid_container", tensor("sizes", 4, 8, 2n ** 52n)],
  ["a petabyte", "invalid_container", tensor("sizes", 0, 8, 2n ** 45n)],
  ["rank 9", "invalid_container", tensor("rank", 0, 1, 9)],
  ["rank 255", "invalid_container", tensor("rank", 0, 1, 255)],
  ["a rank that takes the next tensor's size", "invalid_container", tensor("rank", 0, 1, 3)],
  ["a rank that leaves a size over", "invalid_container", tensor("rank", 4, 1, 1)],
  ["a last rank that takes what is not there", "invalid_container", tensor("rank", 4, 1, 3)],
  ["dtype number 0", "unsupported", tensor("dtype", 0, 1, 0)],
  ["dtype number 14", "unsupported", tensor("dtype", 0, 1, 14)],
  ["dtype number 255", "unsupported", tensor("dtype", 4, 1, 255)],
  ["another dtype of another size", "invalid_container", tensor("dtype", 0, 1, 10)],
  ["another dtype of the same size", "invalid_container", tensor("dtype", 1, 1, 6)],
  ["an alias of itself", "invalid_container", tensor("alias", 4, 4, 4)],
  ["an alias of a later tensor", "invalid_container", tensor("alias", 0, 4, 4)],
  ["an alias of a tensor that is not there", "invalid_container", tensor("alias", 4, 4, 5)],
  ["an alias of tensor 4294967294", "invalid_container", tensor("alias", 4, 4, 0xffff_fffe)],
  ["an alias of another shape", "invalid_container", tensor("alias", 4, 4, 1)],
  ["an alias of another dtype", "invalid_container", tensor("alias", 4, 4, 3)],
  ["an alias that is none but shares its bytes", "invalid_container", tensor("alias", 4, 4, 0xffff_ffff)],
  [
    "an alias of an alias",
    "invalid_container",
    both(
      tensor("alias", 1, 4, 0),
      tensor("alias", 4, 4, 1),
    ),
  ],
  [
    "a tensor turned into an alias, with a hole where it was",
    "invalid_container",
    both(tensor("alias", 3, 4, 0)),
  ],
  ["an empty name", "invalid_container", renameTo(0, "")],
  ["a name of 1025 bytes", "invalid_container", renameTo(0, "x".repeat(1025))],
  ["a name of 65535 bytes", "invalid_container", renameTo(0, "x".repeat(65535))],
  ["a name twice", "invalid_container", renameTo(1, "weight")],
  ["the name __proto__", "invalid_container", renameTo(1, "__proto__")],
  ["a name with NUL", "invalid_container", renameTo(1, "a\0b")],
  ["a name with an escape sequence", "invalid_container", renameTo(1, "\u001b[2J")],
  ["a name with a byte-order mark", "invalid_container", renameTo(1, "\ufeffbias")],
  ["a name in Unicode form NFD", "invalid_container", renameTo(1, "u\u0308")],
  [
    "names that are equal in form NFC",
    "invalid_container",
    both(renameTo(0, "\u00fc"), renameTo(1, "u\u0308")),
  ],
  ["a name that is no UTF-8", "invalid_container", rename(1, Uint8Array.of(0xff, 0xfe))],
  ["a name with an overlong character", "invalid_container", rename(1, Uint8Array.of(0xc0, 0xaf))],
  ["a name with a surrogate", "invalid_container", rename(1, Uint8Array.of(0xed, 0xa0, 0x80))],
  [
    "a character cut between two names",
    "invalid_container",
    both(rename(0, Uint8Array.of(0xc3)), rename(1, Uint8Array.of(0xbc))),
  ],
  ["name lengths that end too early", "invalid_container", tensor("nameLength", 4, 2, 3)],
  ["name lengths that reach too far", "invalid_container", tensor("nameLength", 4, 2, 5)],
  ["a name of 65535 bytes that are not there", "invalid_container", tensor("nameLength", 0, 2, 65535)],

  // chunk table
  ["an empty chunk table", "invalid_container", (parts) => void (parts.chunks = new Uint8Array(0))],
  ["a chunk table with a byte more", "invalid_container", (parts) => {
    parts.chunks = new Uint8Array(Buffer.concat([parts.chunks, new Uint8Array(1)]));
  }],
  ["no chunks at all", "invalid_container", (parts) => {
    parts.chunks = new Uint8Array(0);
    parts.chunkCount = 0;
    parts.data = new Uint8Array(0);
  }],
  ["a first chunk inside the header", "invalid_container", chunk("storedOffset", 0, 8, 0)],
  ["a first chunk after a hole", "invalid_container", chunk("storedOffset", 0, 8, 4160)],
  ["two chunks at one place", "invalid_container", chunk("storedOffset", 1, 8, 4096)],
  ["overlapping chunks", "invalid_container", chunk("storedOffset", 1, 8, 4096 + 192)],
  ["a hole between chunks", "invalid_container", chunk("storedOffset", 2, 8, 4096 + 576)],
  ["a chunk at 2^53", "invalid_container", chunk("storedOffset", 1, 8, 2n ** 53n)],
  ["a chunk at 2^64 - 64", "invalid_container", chunk("storedOffset", 2, 8, 2n ** 64n - 64n)],
  ["a chunk stored in no bytes", "invalid_container", chunk("storedLength", 0, 4, 0)],
  ["a raw chunk stored in fewer bytes", "invalid_container", chunk("storedLength", 0, 4, 192)],
  ["a raw chunk stored in more bytes", "invalid_container", chunk("storedLength", 2, 4, 320)],
  ["a chunk of 4294967295 stored bytes", "invalid_container", chunk("storedLength", 2, 4, 0xffff_ffff)],
  ["a chunk of no raw bytes", "invalid_container", chunk("rawLength", 0, 4, 0)],
  ["a chunk of 255 raw bytes", "invalid_container", chunk("rawLength", 0, 4, 255)],
  ["a chunk of 4294967040 raw bytes", "invalid_container", chunk("rawLength", 0, 4, 0xffff_ff00)],
  ["a raw chunk whose two checksums differ", "invalid_container", chunk("rawCrc", 0, 4, 1)],
  ["codec number 127", "unsupported", chunk("codec", 0, 1, 127)],
  ["codec number 255", "unsupported", chunk("codec", 2, 1, 255)],
  ["a chunk of dtype number 0", "unsupported", chunk("dtype", 0, 1, 0)],
  ["a chunk of dtype number 99", "unsupported", chunk("dtype", 1, 1, 99)],
  ["a chunk of another dtype than its tensor", "invalid_container", chunk("dtype", 1, 1, 6)],
  ["a last chunk of another dtype than its tensor", "invalid_container", chunk("dtype", 2, 1, 12)],
  ["data behind the last chunk", "invalid_container", (parts) => {
    parts.data = new Uint8Array(Buffer.concat([parts.data, new Uint8Array(64)]));
  }],
  [
    "data that end before the last chunk",
    "invalid_container",
    (parts) => void (parts.data = parts.data.subarray(0, 704)),
  ],
  ["too few raw bytes in the chunks", "invalid_container", (parts) => {
    parts.data = parts.data.subarray(0, 512);
    const columns: [number, number][] = [[0, 8], [24, 4], [36, 4], [48, 4], [60, 4], [72, 1], [75, 1]];
    parts.chunks = new Uint8Array(
      Buffer.concat(columns.map(([at, width]) => parts.chunks.subarray(at, at + 2 * width))),
    );
    parts.chunkCount = 2;
  }],
  ["a coded chunk that is not smaller than raw", "invalid_container", chunk("codec", 0, 1, 1)],
  [
    "a chunk that promises 16 MiB from 64 bytes",
    "invalid_container",
    both(
      deflated(planes(plane, plane, plane, plane).subarray(0, 64)),
      chunk("rawLength", 0, 4, 16 << 20),
    ),
  ],

  // stored bytes: these open, and are refused when they are read
  ["a chunk that is no code", "invalid_container", deflated(new Uint8Array(100).fill(0x55))],
  ["a chunk shorter than its table of planes", "invalid_container", deflated(new Uint8Array(15))],
  [
    "a plane with junk behind its stream",
    "invalid_container",
    deflated(planes(plane, plane, plane, new Uint8Array(Buffer.concat([plane, Uint8Array.of(0)])))),
  ],
  [
    "a plane of two streams",
    "invalid_container",
    deflated(planes(plane, plane, plane, new Uint8Array(Buffer.concat([plane, plane])))),
  ],
  [
    "a plane whose stream is cut",
    "invalid_container",
    deflated(planes(plane, plane, plane, plane.subarray(0, -1))),
  ],
  [
    "a plane whose stream holds a byte too few",
    "invalid_container",
    deflated(planes(plane, plane, plane, zeros(63))),
  ],
  [
    "a plane whose stream holds a byte too many",
    "invalid_container",
    deflated(planes(plane, plane, plane, zeros(65))),
  ],
  [
    "a plane whose stream holds 4 KiB",
    "invalid_container",
    deflated(planes(plane, plane, plane, zeros(4096))),
  ],
  [
    "a plane whose stream is longer than the plane",
    "invalid_container",
    deflated(planes(plane, plane, plane, new Uint8Array(zlib.deflateSync(new Uint8Array(64), { level: 0 })))),
  ],
  [
    "a plane of gzip",
    "invalid_container",
    deflated(planes(plane, plane, plane, new Uint8Array(zlib.gzipSync(new Uint8Array(64))))),
  ],
  ["a plane of no bytes", "invalid_container", deflated(planes(plane, plane, plane, new Uint8Array(0)))],
  [
    "a byte behind the last plane",
    "invalid_container",
    deflated(new Uint8Array(Buffer.concat([planes(plane, plane, plane, plane), Uint8Array.of(0)]))),
  ],
  [
    "good stored bytes with another raw checksum",
    "checksum_mismatch",
    both(
      deflated(planes(plane, plane, plane, plane)),
      chunk("rawCrc", 0, 4, 99),
    ),
  ],
  [
    "good stored bytes with another stored checksum",
    "checksum_mismatch",
    both(
      deflated(planes(plane, plane, plane, plane)),
      chunk("storedCrc", 0, 4, 99),
    ),
  ],

  // manifest
  ["a manifest that refers to a missing tensor", "invalid_container", (parts) => {
    parts.manifest = new TextEncoder().encode(
      new TextDecoder().decode(parts.manifest).replace('"weight"', '"nothing"'),
    );
  }],
  ["a manifest with a byte-order mark", "invalid_container", (parts) => {
    parts.manifest = new Uint8Array(Buffer.concat([Uint8Array.of(0xef, 0xbb, 0xbf), parts.manifest]));
  }],
  ["a manifest with a NUL behind it", "invalid_container", (parts) => {
    parts.manifest = new Uint8Array(Buffer.concat([parts.manifest, new Uint8Array(1)]));
  }],
  ["a manifest of two manifests", "invalid_container", (parts) => {
    parts.manifest = new Uint8Array(Buffer.concat([parts.manifest, parts.manifest]));
  }],
  ["a manifest that nests a million levels", "invalid_container", (parts) => {
    parts.manifest = new TextEncoder().encode("[".repeat(1_000_000) + "]".repeat(1_000_000));
  }],
  ["a manifest of a hundred thousand keys, all twice", "invalid_container", (parts) => {
    const keys = Array.from({ length: 100_000 }, (_, i) => `"k${i}":0`).join(",");
    parts.manifest = new TextEncoder().encode(`{${keys},${keys}}`);
  }],
  [
    "a manifest over the limit",
    "limit_exceeded",
    (parts) => void (parts.manifest = new Uint8Array(16 << 20).fill(0x20)),
  ],
];
