import { type Edit, rename } from "../../container/file_edits.ts";
import type { Parts } from "../../container/forge.ts";
import type { Case } from "./number_cases.ts";

const bytesOfText = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Sequences that no UTF-8 decoder may accept, after M. Kuhn's stress test. */
const BAD_UTF8: readonly (readonly [string, readonly number[]])[] = [
  ["a lone continuation byte 80", [0x80]],
  ["a lone continuation byte BF", [0xbf]],
  ["two continuation bytes", [0x80, 0xbf]],
  ["a cut sequence of 2", [0xc3]],
  ["a cut sequence of 3", [0xe2, 0x82]],
  ["a cut sequence of 4", [0xf0, 0x9f, 0x98]],
  ["the byte FE", [0xfe]],
  ["the byte FF", [0xff]],
  ["NUL in 2 bytes", [0xc0, 0x80]],
  ["a slash in 2 bytes", [0xc0, 0xaf]],
  ["a slash in 3 bytes", [0xe0, 0x80, 0xaf]],
  ["a slash in 4 bytes", [0xf0, 0x80, 0x80, 0xaf]],
  ["a sequence of 5", [0xf8, 0x88, 0x80, 0x80, 0x80]],
  ["a sequence of 6", [0xfc, 0x84, 0x80, 0x80, 0x80, 0x80]],
  ["the surrogate D800", [0xed, 0xa0, 0x80]],
  ["the surrogate DFFF", [0xed, 0xbf, 0xbf]],
  ["a pair of surrogates", [0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80]],
  ["a character above 10FFFF", [0xf4, 0x90, 0x80, 0x80]],
];

/** Replacements of the whole value of `user` that are no JSON, or not as our writer writes it. */
const BAD_VALUES: readonly string[] = [
  ..."NaN Infinity -Infinity undefined None 0x10 1. .5 +1 01 -01 -0 0.0 1.0 1e3 1E2 1e400 -1e400 0.1e1 1_000 1n"
    .split(" "),
  ..."9007199254740993 123456789012345678901234567890 0.30000000000000000001 1e-7000 'a' `a` True nul [1,] [,1]"
    .split(" "),
  ...'[1 {1:2} {a:1} {"a":1,} {"a"} {"a":} {,} {"a":1,"a":2} {"a":1"b":2} [1][2] 1,2'.split(" "),
  ...'"\\x41" "\\u00" "\\ud800" "\\udc00\\ud800" "\\u0061" "\\/" "a "\\q" "\\uD83D\\uDE00"'.split(" "),
  '"a\tb"',
  '"a\nb"',
  '"a\u0000b"',
  "",
  " 1",
  "1 ",
  "[1, 2]",
  '{"a": 1}',
  "/*c*/1",
  "1//c",
  '{"__proto__":{"polluted":1}}',
  '{"\\u005f_proto__":{"polluted":1}}',
  '{"a":{"__proto__":null}}',
  '{"a":1,"\\u0061":2}',
  '{"$":"nothing"}',
  '{"$":1}',
  '{"$":null}',
  '{"$":"undefined","value":1}',
  '{"$":"number"}',
  '{"$":"number","value":"nan"}',
  '{"$":"number","value":"1"}',
  '{"$":"number","value":5}',
  '{"$":"number","value":"-Inf"}',
  '{"$":"bigint"}',
  '{"$":"bigint","value":7}',
  '{"$":"bigint","value":""}',
  '{"$":"bigint","value":"07"}',
  '{"$":"bigint","value":"-0"}',
  '{"$":"bigint","value":"0x10"}',
  '{"$":"bigint","value":" 1"}',
  '{"$":"bigint","value":"1e3"}',
  `{"$":"bigint","value":"${"9".repeat(5000)}"}`,
  '{"$":"date"}',
  '{"$":"date","value":"x"}',
  '{"$":"date","value":8640000000000001}',
  '{"$":"date","value":1.5}',
  '{"$":"map"}',
  '{"$":"map","value":{}}',
  '{"$":"map","value":[1]}',
  '{"$":"map","value":[[1]]}',
  '{"$":"map","value":[[1,2,3]]}',
  '{"$":"map","value":[[1,2],[1,3]]}',
  '{"$":"set","value":1}',
  '{"$":"set","value":[1,1]}',
  '{"$":"tensor"}',
  '{"$":"tensor","name":1}',
  '{"$":"tensor","name":"nothing"}',
  '{"$":"tensor","name":"weight","path":"/etc/passwd"}',
  '{"$":"tensor","name":"weight","view":"Function"}',
  '{"$":"tensor","name":"weight","view":"constructor"}',
  '{"$":"function","value":"()=>1"}',
  '{"$":"class","name":"Date"}',
];

const BAD_PROVENANCE: readonly string[] = [
  "null",
  "[]",
  '"x"',
  "1",
  ...["-1", "1.5", '"1"', "null", "true", "[]", "{}", "9007199254740992", "1e400", "-0", "01", "1e3"].flatMap(
    (value) => [
      `{"step":${value}}`,
      `{"epoch":${value}}`,
    ],
  ),
  '{"tag":1}',
  '{"runId":null}',
  '{"createdAt":"yesterday"}',
  '{"createdAt":"2026-13-01T00:00:00Z"}',
  '{"createdAt":1}',
  '{"variants":[]}',
  '{"variants":{"a":1}}',
  '{"path":"/etc/passwd"}',
  '{"__proto__":{"step":1}}',
  '{"step":1,"step":2}',
];

const BAD_METRICS: readonly string[] = [
  "null",
  "[]",
  "1",
  '"x"',
  '{"a":"1"}',
  '{"a":null}',
  '{"a":[1]}',
  '{"a":{"b":1}}',
  '{"a":{"$":"bigint","value":"1"}}',
  '{"a":{"$":"undefined"}}',
  '{"$":"map","value":[]}',
  '{"a":1,"a":1}',
  '{"__proto__":1}',
];

const BAD_KINDS: readonly string[] = ['"model"', '""', '"Checkpoint"', "1", "null", "true", "[]", "{}"];
const FIELDS = ["kind", "state", "metrics", "provenance", "user"] as const;

/** Rows H1 and H2: names that are no names, and manifests that are no canonical JSON or not of our shape. */
export function textCases(): Case[] {
  return [
    ...BAD_UTF8.map((
      [name, bytes],
    ): Case => [`${name} as a tensor's name`, rename(1, Uint8Array.from(bytes))]),
    ...BAD_UTF8.map(([name, bytes]): Case => [`${name} in the manifest`, inNote(Uint8Array.from(bytes))]),
    ...BAD_VALUES.map((value): Case => [`user ${shown(value)}`, field("user", value)]),
    ...BAD_PROVENANCE.map((value): Case => [`provenance ${shown(value)}`, field("provenance", value)]),
    ...BAD_METRICS.map((value): Case => [`metrics ${shown(value)}`, field("metrics", value)]),
    ...BAD_KINDS.map((value): Case => [`kind ${value}`, field("kind", value)]),
    ...FIELDS.map((name): Case => [`no ${name}`, manifest((fields) => text(without(fields, name)))]),
    ...FIELDS.map((name): Case => [
      `${name} twice`,
      manifest((fields) => text(fields).replace(/\}$/, `,"${name}":${fields[name]}}`)),
    ]),
    ...FIELDS.map((name): Case => [
      `${name} twice, once spelt with an escape`,
      manifest((fields) =>
        text(fields).replace(/\}$/, `,"\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}":null}`)
      ),
    ]),
    ...wholeManifests(),
    ...[201, 1000, 1001, 10_000, 100_000, 5_000_000].map((depth): Case => [
      `nesting of ${depth} levels`,
      field("user", "[".repeat(depth) + "]".repeat(depth)),
    ]),
  ];
}

function wholeManifests(): Case[] {
  const roots = ["null", "[]", "1", '"x"', "true", "{}", "", " ", "{", "}", "\u0000"];
  return [
    ...roots.map((root): Case => [`the manifest ${shown(root)}`, manifest(() => root)]),
    ["a manifest and a space", manifest((fields) => `${text(fields)} `)],
    ["a space and a manifest", manifest((fields) => ` ${text(fields)}`)],
    ["a manifest and a line end", manifest((fields) => `${text(fields)}\n`)],
    ["a manifest with a comment behind it", manifest((fields) => `${text(fields)}//x`)],
    ["a manifest with a byte-order mark", manifest((fields) => `\ufeff${text(fields)}`)],
    ["a manifest with one field more", manifest((fields) => text(fields).replace(/\}$/, ',"more":1}'))],
    [
      "a manifest with the field constructor",
      manifest((fields) => text(fields).replace(/\}$/, ',"constructor":1}')),
    ],
    [
      "a manifest with the field __proto__",
      manifest((fields) => text(fields).replace(/\}$/, ',"__proto__":1}')),
    ],
    [
      "a manifest that spells its fields large",
      manifest((fields) => text(fields).replace('"kind"', '"Kind"')),
    ],
    ["a manifest in UTF-16", (parts) => {
      parts.manifest = new Uint8Array(Buffer.from(new TextDecoder().decode(parts.manifest), "utf16le"));
    }],
  ];
}

type Fields = Record<string, string>;

/** The manifest's text from its top-level fields, each as text. */
function manifest(change: (fields: Fields) => string): Edit {
  return (parts) => void (parts.manifest = bytesOfText(change(fieldsOf(parts))));
}

function field(name: string, value: string): Edit {
  return manifest((fields) => text({ ...fields, [name]: value }));
}

function fieldsOf(parts: Parts): Fields {
  const parsed = JSON.parse(new TextDecoder().decode(parts.manifest)) as Record<string, unknown>;
  return Object.fromEntries(Object.entries(parsed).map(([name, value]) => [name, JSON.stringify(value)]));
}

function text(fields: Fields): string {
  return `{${Object.entries(fields).map(([name, value]) => `"${name}":${value}`).join(",")}}`;
}

function without(fields: Fields, name: string): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([key]) => key !== name));
}

function inNote(bytes: Uint8Array): Edit {
  return (parts) => {
    const end = Buffer.from(parts.manifest).lastIndexOf('"}}');
    const [before, after] = [parts.manifest.subarray(0, end), parts.manifest.subarray(end)];
    parts.manifest = new Uint8Array(Buffer.concat([before, bytes, after]));
  };
}

function shown(value: string): string {
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)} and ${value.length - 60} more` : value);
}
