import { toCanonicalJson } from "../../src/base/canonical_json.ts";

/** A safetensors file of this header text, byte for byte, and these bytes behind it. */
export function fileOf(header: string | Uint8Array, data: Uint8Array | number = 0): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = typeof data === "number" ? new Uint8Array(data) : data;
  const file = new Uint8Array(8 + text.byteLength + bytes.byteLength);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.byteLength), true);
  file.set(text, 8);
  file.set(bytes, 8 + text.byteLength);
  return file;
}

/** A header entry. */
export function entry(name: string, dtype: string, shape: number[], begin: number, end: number): string {
  return `${toCanonicalJson(name)}:{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[${begin},${end}]}`;
}

function withLength(length: bigint, rest: number): Uint8Array {
  const file = new Uint8Array(8 + rest);
  new DataView(file.buffer).setBigUint64(0, length, true);
  file[8] = 0x7b;
  file[9] = 0x7d;
  return file;
}

const good = entry("a", "F32", [2], 0, 8);

/** Files that are wrong, with the code and the words that say why. */
export const BAD_SAFETENSORS: readonly (readonly [
  name: string,
  code: string,
  message: RegExp,
  bytes: Uint8Array,
])[] = [
  ["an empty file", "truncated", /has 0 bytes, expected at least 8/, new Uint8Array(0)],
  ["seven bytes", "truncated", /has 7 bytes/, new Uint8Array(7)],
  [
    "a length beyond the file",
    "truncated",
    /header has 100 bytes, and the file ends after 2/,
    withLength(100n, 2),
  ],
  ["a length one beyond the file", "truncated", /has 3 bytes, and the file ends after 2/, withLength(3n, 2)],
  [
    "a length just above the cap",
    "limit_exceeded",
    /100000001 bytes; 100000000/,
    withLength(100_000_001n, 2),
  ],
  ["a length at the cap in a small file", "truncated", /100000000 bytes, and/, withLength(100_000_000n, 2)],
  ["a length of 2^64 - 1", "limit_exceeded", /100000000 is the most/, withLength(2n ** 64n - 1n, 2)],
  ["a length of 2^53 + 1", "limit_exceeded", /is the most/, withLength(2n ** 53n + 1n, 2)],
  ["a header of no bytes", "invalid_file", /begin with {/, fileOf("")],
  ["a space in front of the header", "invalid_file", /begin with {/, fileOf(" {}")],
  ["a byte-order mark", "invalid_file", /begin with {/, fileOf("\ufeff{}")],
  ["an array", "invalid_file", /begin with {/, fileOf("[]")],
  [
    "invalid UTF-8",
    "invalid_file",
    /not UTF-8/,
    fileOf(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)),
  ],
  ["text behind the header", "invalid_file", /not JSON/, fileOf("{}x")],
  ["zero bytes behind the header", "invalid_file", /not JSON/, fileOf("{}\0\0")],
  ["a comma too many", "invalid_file", /not JSON/, fileOf("{,}")],
  ["NaN", "invalid_file", /not JSON/, fileOf('{"a":NaN}')],
  ["deep nesting", "invalid_file", /deeper than 1000/, fileOf(`{"a":${"[".repeat(5000)}`)],
  ["the same name twice", "invalid_file", /key "a" twice/, fileOf(`{${good},${good}}`, 8)],
  [
    "the same name twice, once escaped",
    "invalid_file",
    /key "a" twice/,
    fileOf(`{${good},${good.replace('"a"', '"\\u0061"')}}`, 8),
  ],
  [
    "a field twice",
    "invalid_file",
    /"dtype" twice/,
    fileOf('{"a":{"dtype":"U8","dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
  ],
  [
    "a lone surrogate in a name",
    "invalid_file",
    /surrogate/,
    fileOf(`{${good.replace('"a"', '"\\ud800"')}}`, 8),
  ],
  ["metadata twice", "invalid_file", /"__metadata__" twice/, fileOf('{"__metadata__":{},"__metadata__":{}}')],
  ["metadata that is an array", "invalid_file", /no object/, fileOf('{"__metadata__":[]}')],
  ["metadata that is null", "invalid_file", /no object/, fileOf('{"__metadata__":null}')],
  [
    "a number in the metadata",
    "invalid_file",
    /"a" in its __metadata__ is no text/,
    fileOf('{"__metadata__":{"a":1}}'),
  ],
  ["an object in the metadata", "invalid_file", /is no text/, fileOf('{"__metadata__":{"a":{}}}')],
  ["a tensor that is a number", "invalid_file", /"a" has to have dtype/, fileOf('{"a":1}')],
  ["a tensor that is null", "invalid_file", /has to have dtype/, fileOf('{"a":null}')],
  [
    "a tensor without a shape",
    "invalid_file",
    /has to have dtype/,
    fileOf('{"a":{"dtype":"U8","data_offsets":[0,0]}}'),
  ],
  [
    "a tensor with a field too many",
    "invalid_file",
    /nothing else/,
    fileOf(`{${good.replace("{", '{"strides":[1],')}}`, 8),
  ],
  ["an unknown dtype", "invalid_file", /dtype "F31"/, fileOf(`{${entry("a", "F31", [2], 0, 8)}}`, 8)],
  ["a dtype in small letters", "invalid_file", /dtype "f32"/, fileOf(`{${entry("a", "f32", [2], 0, 8)}}`, 8)],
  [
    "the dtype constructor",
    "invalid_file",
    /dtype "constructor"/,
    fileOf(`{${entry("a", "constructor", [2], 0, 8)}}`, 8),
  ],
  ["a dtype that is a number", "invalid_file", /dtype "1"/, fileOf(`{${good.replace('"F32"', "1")}}`, 8)],
  [
    "a shape that is a number",
    "invalid_file",
    /shape that is no list/,
    fileOf(`{${good.replace("[2]", "2")}}`, 8),
  ],
  [
    "text in a shape",
    "invalid_file",
    /shape that is no list/,
    fileOf(`{${good.replace("[2]", '["2"]')}}`, 8),
  ],
  ["a fraction in a shape", "invalid_file", /number 2\.0/, fileOf(`{${good.replace("[2]", "[2.0]")}}`, 8)],
  ["an exponent in a shape", "invalid_file", /number 2e0/, fileOf(`{${good.replace("[2]", "[2e0]")}}`, 8)],
  ["a negative size", "invalid_file", /number -2/, fileOf(`{${good.replace("[2]", "[-2]")}}`, 8)],
  [
    "a size of -0",
    "invalid_file",
    /number -0/,
    fileOf(`{${entry("a", "F32", [], 0, 0).replace("[]", "[-0]")}}`),
  ],
  [
    "a size above 2^53",
    "invalid_file",
    /number 9007199254740993/,
    fileOf(`{${good.replace("[2]", "[9007199254740993]")}}`, 8),
  ],
  [
    "a shape whose product overflows",
    "invalid_file",
    /more elements than can be counted/,
    fileOf(`{${entry("a", "U8", [2 ** 32, 2 ** 32], 0, 8)}}`, 8),
  ],
  [
    "a shape whose product overflows beside a 0",
    "invalid_file",
    /than can be counted/,
    fileOf(`{${entry("a", "U8", [0, 2 ** 32, 2 ** 32], 0, 0)}}`),
  ],
  [
    "a shape whose bits overflow",
    "invalid_file",
    /more bits than/,
    fileOf(`{${entry("a", "U64", [2 ** 50], 0, 8)}}`, 8),
  ],
  [
    "a product that wraps round to 8 bytes in 64 bits",
    "invalid_file",
    /than can be counted/,
    fileOf(`{${entry("a", "F32", [2 ** 31, 2 ** 31, 2], 0, 8)}}`, 8),
  ],
  ["one offset", "invalid_file", /not two integers/, fileOf(`{${good.replace("[0,8]", "[0]")}}`, 8)],
  ["three offsets", "invalid_file", /not two integers/, fileOf(`{${good.replace("[0,8]", "[0,8,8]")}}`, 8)],
  [
    "offsets in the wrong order",
    "invalid_file",
    /ends at 0, before its begin at 8/,
    fileOf(`{${good.replace("[0,8]", "[8,0]")}}`, 8),
  ],
  [
    "fewer bytes than the shape needs",
    "invalid_file",
    /is 8 bytes, but has 4/,
    fileOf(`{${entry("a", "F32", [2], 0, 4)}}`, 4),
  ],
  [
    "more bytes than the shape needs",
    "invalid_file",
    /is 8 bytes, but has 12/,
    fileOf(`{${entry("a", "F32", [2], 0, 12)}}`, 12),
  ],
  [
    "three F4, which are no whole bytes",
    "invalid_file",
    /12 bits and no whole bytes/,
    fileOf(`{${entry("a", "F4", [3], 0, 2)}}`, 2),
  ],
  [
    "two F6, which are no whole bytes",
    "invalid_file",
    /12 bits and no whole bytes/,
    fileOf(`{${entry("a", "F6_E2M3", [2], 0, 2)}}`, 2),
  ],
  [
    "a hole in front of the first tensor",
    "invalid_file",
    /hole/,
    fileOf(`{${entry("a", "F32", [2], 4, 12)}}`, 12),
  ],
  [
    "a hole between two tensors",
    "invalid_file",
    /"b" begins at byte \d+, expected \d+: its bytes leave a hole/,
    fileOf(`{${good},${entry("b", "U8", [1], 9, 10)}}`, 10),
  ],
  [
    "two tensors that overlap by a byte",
    "invalid_file",
    /overlap/,
    fileOf(`{${good},${entry("b", "U8", [2], 7, 9)}}`, 9),
  ],
  [
    "two tensors on the same bytes",
    "invalid_file",
    /overlap/,
    fileOf(`{${good},${entry("b", "F32", [2], 0, 8)}}`, 8),
  ],
  [
    "an empty tensor inside another one",
    "invalid_file",
    /overlap/,
    fileOf(`{${good},${entry("b", "U8", [0], 4, 4)}}`, 8),
  ],
  ["a tensor beyond the end", "truncated", /tensors end at byte/, fileOf(`{${good}}`, 7)],
  [
    "one byte behind the last tensor",
    "invalid_file",
    /1 bytes follow its last tensor/,
    fileOf(`{${good}}`, 9),
  ],
  [
    "bytes behind no tensor at all",
    "invalid_file",
    /22 bytes follow/,
    fileOf("{}", new TextEncoder().encode("PK\x05\x06" + "\0".repeat(18))),
  ],
];
