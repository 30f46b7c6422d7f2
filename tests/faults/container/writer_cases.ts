import { ContainerReader } from "../../../src/container/read/container_reader.ts";
import { bytesSource } from "../../../src/container/source.ts";
import type { StateValue } from "../../../src/container/format/state_tree.ts";
import { writeContainer } from "../../../src/container/write/write_container.ts";
import { asBytes, FILE_ID, manifestOf } from "../../container/samples.ts";
import type { RowRecorder } from "../campaign.ts";
import { CODECS } from "./files.ts";

class Model {
  weight = 1;
}

function cycle(): unknown {
  const a: { self?: unknown } = {};
  a.self = a;
  return a;
}

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = [value];
  return value;
}

/** What would be lost, changed or run if it were written. */
const REFUSED: readonly (readonly [string, unknown])[] = [
  ["a function", () => 1],
  ["a symbol", Symbol("x")],
  ["a class instance", new Model()],
  ["a cycle", cycle()],
  [
    "a cycle through a map",
    (() => {
      const map = new Map<string, unknown>();
      return map.set("self", map);
    })(),
  ],
  ["a getter", {
    get value() {
      return 1;
    },
  }],
  ["a hidden property", Object.defineProperty({}, "a", { value: 1 })],
  ["a symbol key", { [Symbol("x")]: 1 }],
  ["an own __proto__", Object.defineProperty({}, "__proto__", { value: 1, enumerable: true })],
  ["a toJSON", { toJSON: () => 1 }],
  ["a lone surrogate", "\ud800"],
  ["a lone surrogate in a key", { "\udc00": 1 }],
  ["an array with a hole", [1, , 2]], // deno-lint-ignore no-sparse-arrays
  ["an array with a field", Object.assign([1], { extra: 1 })],
  ["a date with a field", Object.assign(new Date(0), { extra: 1 })],
  ["201 levels", nested(201)],
  ["a bigint of 5000 digits", 10n ** 4999n],
  ["a regular expression", /x/],
  ["an error", new Error("x")],
  ["a promise", Promise.resolve(1)],
  ["a weak map", new WeakMap()],
  ["an array buffer", new ArrayBuffer(8)],
  ["a boxed number", Object(1)],
];

const KEPT: readonly (readonly [string, StateValue])[] = [
  ["NaN", NaN],
  ["the infinities", [Infinity, -Infinity]],
  ["minus zero", -0],
  ["undefined", { a: undefined, b: [undefined] }],
  ["a bigint", [2n ** 64n, -(2n ** 63n), 0n]],
  ["a valid and an invalid date", [new Date(8.64e15), new Date(NaN)]],
  ["maps and sets", new Map<StateValue, StateValue>([[NaN, new Set([1, "1"])], [{ a: 1 }, null]])],
  ["keys that prototypes have", { constructor: 1, toString: 2, hasOwnProperty: 3, valueOf: 4 }],
  ["keys like our own marks", { $: "tensor", $$: "x", $a: 1 }],
  ["integers at the ends", [Number.MAX_SAFE_INTEGER, Number.MIN_VALUE, Number.MAX_VALUE, 2 ** 53 + 2]],
  ["text of all planes", "\u0000\u001f\u007f\u2028\u{1f600}\u{10ffff}"],
  ["nothing at all", {}],
];

/** Row H3: our own writer never writes `null` for a NaN. What it cannot keep it refuses, naming the place. */
export async function writerCases(row: RowRecorder): Promise<void> {
  for (const [name, value] of REFUSED) {
    row.point();
    const outcome = await write({ a: [value as StateValue] }).then(
      () => "was written",
      (error: unknown) => error,
    );
    if (!(outcome instanceof TypeError)) row.fail(`${name}: ${outcome}`);
    else if (!/state\.a|\$\.|key/.test(outcome.message)) {
      row.fail(`${name}: the message names no place: ${outcome.message}`);
    }
  }
  for (const [name, value] of KEPT) {
    row.point();
    const reader = await ContainerReader.open(bytesSource(await write({ value })));
    const again = await ContainerReader.open(bytesSource(await write(reader.manifest.state)));
    const found = (reader.manifest.state as { value: StateValue }).value;
    if (describe(found) !== describe(value)) row.fail(`${name} came back as ${describe(found)}`);
    if (describe(again.manifest.state) !== describe(reader.manifest.state)) {
      row.fail(`${name} changed when saved again`);
    }
  }
  await keepsNaNPayloads(row);
}

async function keepsNaNPayloads(row: RowRecorder): Promise<void> {
  const words = Uint32Array.from(
    { length: 256 },
    (_, i) => (0x7f80_0001 + i * 0x0000_7fff) | (i & 1 ? 0x8000_0000 : 0),
  );
  for (const codec of CODECS) {
    row.point();
    const tensors = [{ spec: { name: "a", dtype: "f32" as const, shape: [256] }, bytes: asBytes(words) }];
    const file = await writeContainer({ tensors, manifest: manifestOf(null), fileId: FILE_ID, codec });
    const found = await (await ContainerReader.open(bytesSource(file))).read("a");
    if (Buffer.compare(found, asBytes(words)) !== 0) row.fail(`${codec} does not keep the payloads of NaN`);
  }
}

async function write(state: StateValue): Promise<Uint8Array> {
  return await writeContainer({ tensors: [], manifest: manifestOf(state), fileId: FILE_ID });
}

/** Text that differs for different values, where JSON's would not. */
function describe(value: unknown): string {
  if (Object.is(value, -0)) return "-0";
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value !== "object" || value === null) return String(value);
  if (value instanceof Date) return `Date(${value.getTime()})`;
  if (value instanceof Map) {
    return `Map{${[...value].map(([key, item]) => `${describe(key)}:${describe(item)}`)}}`;
  }
  if (value instanceof Set) return `Set{${[...value].map(describe)}}`;
  if (Array.isArray(value)) return `[${value.map(describe)}]`;
  return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${describe(item)}`)}}`;
}
