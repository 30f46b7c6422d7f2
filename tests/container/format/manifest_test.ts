import { describe, expect, test } from "bun:test";
import * as sliced from "../../../src/container/format/manifest.ts";
import type { Manifest } from "../../../src/container/format/manifest.ts";
import { encodeManifest, parseManifest } from "../manifest_at_once.ts";
import { type StateValue, TensorRef } from "../../../src/container/format/state_tree.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { manifestOf } from "../samples.ts";

const full: Manifest = {
  kind: "checkpoint",
  state: { step: 3, rng: 2n ** 64n, weights: new TensorRef("w") },
  metrics: { loss: NaN, best: -Infinity, zero: -0, accuracy: 0.5, constructor: 1 },
  provenance: {
    runId: "r",
    tag: "step-3",
    step: 3,
    epoch: 0,
    createdAt: "2026-11-22T01:02:03.000Z",
    writer: "cairn 0.1.0",
    adapter: "llvmpipe",
    runtime: "deno 2.9.6",
    variants: { matmul: "register" },
    order: 12,
    parent: "0123456789abcdef0123456789abcdef",
    savedBy: "auto",
  },
  user: new Map([["note", new Date(0)]]),
};

const text = (manifest: Manifest): string => new TextDecoder().decode(encodeManifest(manifest));
const parse = (json: string, onTensor?: (name: string) => void): Manifest =>
  parseManifest(new TextEncoder().encode(json), onTensor);

describe("a manifest", () => {
  test("round-trips, NaN metrics and all", () => {
    expect(parseManifest(encodeManifest(full))).toStrictEqual(full);
    const plain = manifestOf(undefined);
    expect(parseManifest(encodeManifest(plain))).toStrictEqual(plain);
  });

  test("has the same bytes in whatever order the provenance was put together", () => {
    const provenance = Object.fromEntries(Object.entries(full.provenance).toReversed());
    expect(text({ ...full, provenance })).toBe(text(full));
  });

  test("leaves out provenance that is undefined", () => {
    const provenance = { tag: "a", step: undefined } as unknown as Manifest["provenance"];
    expect(parse(text({ ...full, provenance })).provenance).toStrictEqual({ tag: "a" });
  });

  test("reports the tensors that state and user refer to", () => {
    const names: string[] = [];
    parse(text(manifestOf([new TensorRef("a")], { b: new TensorRef("b") })), (name) => names.push(name));
    expect(names).toEqual(["a", "b"]);
  });

  const misuse: [string, object, RegExp][] = [
    ["another kind", { kind: "model" }, /kind/],
    ["a metric that is text", { metrics: { loss: "0.5" } }, /Metric "loss" is a string/],
    ["a fractional step", { provenance: { step: 1.5 } }, /provenance\.step/],
    ["a negative epoch", { provenance: { epoch: -1 } }, /provenance\.epoch/],
    ["a time that is no time", { provenance: { createdAt: "yesterday" } }, /createdAt/],
    ["a variant that is no text", { provenance: { variants: { a: 1 } } }, /variants/],
    ["an order of 0", { provenance: { order: 0 } }, /provenance\.order/],
    ["a parent that is a tag", { provenance: { parent: "step-2" } }, /provenance\.parent/],
    ["a saver of another kind", { provenance: { savedBy: "cron" } }, /provenance\.savedBy/],
    ["unknown provenance", { provenance: { url: "http://localhost" } }, /field "url"/],
    ["a function for the user", { user: { f: () => 1 } }, /state\.f is a function/],
    ["lone surrogates in a tag", { provenance: { tag: "\ud800" } }, /lone surrogate/],
  ];
  for (const [name, change, message] of misuse) {
    test(`refuses to write ${name}`, async () => {
      const error = await thrownBy(() => encodeManifest({ ...full, ...change } as Manifest));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(message);
    });
  }

  const bare = '{"kind":"tensors","state":null,"metrics":{},"provenance":{},"user":null}';
  const refused: [string, string][] = [
    ["an empty text", ""],
    ["a list", "[]"],
    ["null", "null"],
    ["no kind", bare.replace('"kind":"tensors",', "")],
    ["an unknown kind", bare.replace("tensors", "virus")],
    ["no state", bare.replace('"state":null,', "")],
    ["no user", bare.replace(',"user":null', "")],
    ["no metrics", bare.replace('"metrics":{},', "")],
    ["no provenance", bare.replace('"provenance":{},', "")],
    ["a further field", bare.replace('"user":null', '"user":null,"code":"x"')],
    ["a second kind", bare.replace('"kind":"tensors",', '"kind":"tensors","kind":"tensors",')],
    ["metrics that are a list", bare.replace('"metrics":{}', '"metrics":[1]')],
    ["metrics that are a map", bare.replace('"metrics":{}', '"metrics":{"$":"map","value":[]}')],
    ["metrics that are null", bare.replace('"metrics":{}', '"metrics":null')],
    ["a metric that is null", bare.replace('"metrics":{}', '"metrics":{"loss":null}')],
    ["a metric that is text", bare.replace('"metrics":{}', '"metrics":{"loss":"1"}')],
    ["a metric that is a date", bare.replace('"metrics":{}', '"metrics":{"loss":{"$":"date","value":0}}')],
    ["provenance that is a list", bare.replace('"provenance":{}', '"provenance":[]')],
    ["unknown provenance", bare.replace('"provenance":{}', '"provenance":{"url":"x"}')],
    ["a step that is text", bare.replace('"provenance":{}', '"provenance":{"step":"1"}')],
    [
      "a step that is no safe integer",
      bare.replace('"provenance":{}', '"provenance":{"step":9007199254740992}'),
    ],
    ["a step that is null", bare.replace('"provenance":{}', '"provenance":{"step":null}')],
    ["an order of 0", bare.replace('"provenance":{}', '"provenance":{"order":0}')],
    ["an order that is a fraction", bare.replace('"provenance":{}', '"provenance":{"order":1.5}')],
    ["an order that is text", bare.replace('"provenance":{}', '"provenance":{"order":"1"}')],
    ["an order that is null", bare.replace('"provenance":{}', '"provenance":{"order":null}')],
    [
      "an order that is no safe integer",
      bare.replace('"provenance":{}', '"provenance":{"order":9007199254740992}'),
    ],
    ["a parent that is no file id", bare.replace('"provenance":{}', '"provenance":{"parent":"step-1"}')],
    ["a parent in capitals", bare.replace('"provenance":{}', `"provenance":{"parent":"${"A".repeat(32)}"}`)],
    ["an unknown saver", bare.replace('"provenance":{}', '"provenance":{"savedBy":"cron"}')],
    ["a saver that is null", bare.replace('"provenance":{}', '"provenance":{"savedBy":null}')],
    [
      "a time without a zone",
      bare.replace('"provenance":{}', '"provenance":{"createdAt":"2026-11-22T00:00:00"}'),
    ],
    ["variants that are a list", bare.replace('"provenance":{}', '"provenance":{"variants":[]}')],
    ["a key __proto__", bare.replace('"user":null', '"user":{"__proto__":{"polluted":1}}')],
    ["a bad state", bare.replace('"state":null', '"state":{"$":"eval"}')],
    ["a bad user", bare.replace('"user":null', '"user":{"$x":1}')],
    ["a space", bare.replace(":", ": ")],
    ["a line end behind it", `${bare}\n`],
    ["a byte-order mark", `\ufeff${bare}`],
  ];
  for (const [name, json] of refused) {
    test(`refuses to read ${name}`, async () => {
      const error = await thrownBy(() => parse(json));
      expect(error.code).toBe("invalid_container");
      expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    });
  }

  // Markus Kuhn's list of malformed UTF-8, each put inside a string of an otherwise good manifest.
  const malformed: [string, number[]][] = [
    ["a continuation byte alone", [0x80]],
    ["two continuation bytes", [0x80, 0xbf]],
    ["a first byte without the next", [0xc3]],
    ["three bytes cut to two", [0xe2, 0x82]],
    ["four bytes cut to three", [0xf0, 0x9f, 0x98]],
    ["an impossible byte FE", [0xfe]],
    ["an impossible byte FF", [0xff]],
    ["an overlong slash of two bytes", [0xc0, 0xaf]],
    ["an overlong slash of three bytes", [0xe0, 0x80, 0xaf]],
    ["an overlong slash of four bytes", [0xf0, 0x80, 0x80, 0xaf]],
    ["an overlong NUL", [0xc0, 0x80]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["a pair of surrogates", [0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80]],
    ["a character above U+10FFFF", [0xf4, 0x90, 0x80, 0x80]],
    ["a sequence of five bytes", [0xf8, 0x88, 0x80, 0x80, 0x80]],
  ];
  for (const [name, bytes] of malformed) {
    test(`refuses ${name}`, async () => {
      const [before = "", after = ""] = bare.replace('"user":null', '"user":"@"').split("@");
      const encode = (part: string): number[] => [...new TextEncoder().encode(part)];
      const manifest = Uint8Array.from([...encode(before), ...bytes, ...encode(after)]);
      expect((await thrownBy(() => parseManifest(manifest))).code).toBe("invalid_container");
    });
  }
});

describe("a manifest in slices", () => {
  const of = (user: StateValue): Manifest => manifestOf(null, user);

  test("is as many more slices as its trees and its texts are longer, to write and to read", () => {
    const slices = (user: StateValue): [written: number, read: number] => [
      [...sliced.encodeManifest(of(user))].length,
      [...sliced.parseManifest(encodeManifest(of(user)))].length,
    ];
    for (
      const user of [[...Array(100_000).keys()], "a text".repeat(500_000), { note: "ü😀".repeat(300_000) }]
    ) {
      const [[writtenFew, readFew], [written, read]] = [slices(null), slices(user)];
      expect(written - writtenFew).toBeGreaterThanOrEqual(25);
      expect(read - readFew).toBeGreaterThanOrEqual(25);
    }
  });

  test("comes back the same where a slice ends within a character", () => {
    for (let shift = 0; shift < 4; shift++) {
      const manifest = of([" ".repeat(shift) + "ü重😀".repeat(100_000), "\n😀".repeat(20_000)]);
      const bytes = encodeManifest(manifest);
      expect(new TextDecoder().decode(bytes)).toBe(JSON.stringify(manifest));
      expect(parseManifest(bytes)).toEqual(manifest);
    }
  });

  test("refuses half a character wherever it stands in a long text", async () => {
    for (const at of [0, 16_383, 16_384, 100_000, 199_999]) {
      const text = "a".repeat(at) + "\ud83d" + "a".repeat(199_999 - at);
      expect(await thrownBy(() => encodeManifest(of([text])))).toBeInstanceOf(TypeError);
    }
  });
});
