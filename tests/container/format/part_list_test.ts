import { describe, expect, test } from "bun:test";
import { toCanonicalJson } from "../../../src/base/canonical_json.ts";
import type { Manifest } from "../../../src/container/format/manifest.ts";
import { encodeManifest, parseManifest } from "../manifest_at_once.ts";
import { isPartName } from "../../../src/container/format/part_list.ts";
import { thrownBy } from "../../helpers/thrown.ts";

const PLAIN: Manifest = { kind: "checkpoint", state: {}, metrics: {}, provenance: {}, user: {} };
const FILE = { name: "model", fileId: "0123456789abcdef0123456789abcdef", byteLength: 5000, checksum: 7 };
const OTHER = { ...FILE, name: "optimizer", fileId: "f".repeat(32) };

/** A manifest with whatever in the place of a field, as a forged file has it. */
function forged(field: object): Uint8Array {
  const text = new TextDecoder().decode(encodeManifest(PLAIN));
  return new TextEncoder().encode(`${text.slice(0, -1)},${toCanonicalJson(field as never).slice(1)}`);
}

describe("the list of parts", () => {
  test("comes back as it was written, and a manifest without one has the bytes it always had", () => {
    const parts = { worldSize: 2, files: [{ ...FILE, rank: 0 }, { ...OTHER, rank: 1 }] };
    const part = { replicated: ["a"], sharded: { "b.c": { start: 1, end: 3, rows: 9 } } };
    expect(parseManifest(encodeManifest({ ...PLAIN, parts, part }))).toEqual({ ...PLAIN, parts, part });
    expect(new TextDecoder().decode(encodeManifest(PLAIN))).toBe(
      '{"kind":"checkpoint","state":{},"metrics":{},"provenance":{},"user":{}}',
    );
  });

  const bad: Record<string, object> = {
    "no file": { parts: { files: [] } },
    "a path for a name": { parts: { files: [{ ...FILE, name: "../model" }] } },
    "two dots in a name": { parts: { files: [{ ...FILE, name: "a..b" }] } },
    "a name that is too long": { parts: { files: [{ ...FILE, name: "a".repeat(65) }] } },
    "a file id in capitals": { parts: { files: [{ ...FILE, fileId: "A".repeat(32) }] } },
    "a file id that is too short": { parts: { files: [{ ...FILE, fileId: "a".repeat(31) }] } },
    "a length that no container has": { parts: { files: [{ ...FILE, byteLength: 4223 }] } },
    "a length that is no integer": { parts: { files: [{ ...FILE, byteLength: 5000.5 }] } },
    "a checksum that is too large": { parts: { files: [{ ...FILE, checksum: 2 ** 32 }] } },
    "no checksum": { parts: { files: [{ name: "a", fileId: FILE.fileId, byteLength: 5000 }] } },
    "a name twice": { parts: { files: [FILE, { ...OTHER, name: "model" }] } },
    "names that differ in case only": { parts: { files: [FILE, { ...OTHER, name: "Model" }] } },
    "a file twice": { parts: { files: [FILE, { ...OTHER, fileId: FILE.fileId }] } },
    "a rank without ranks": { parts: { files: [{ ...FILE, rank: 0 }] } },
    "ranks without their number": { parts: { worldSize: 1, files: [FILE] } },
    "a rank twice": { parts: { worldSize: 2, files: [{ ...FILE, rank: 0 }, { ...OTHER, rank: 0 }] } },
    "a rank too many": { parts: { worldSize: 1, files: [{ ...FILE, rank: 1 }] } },
    "a missing rank": { parts: { worldSize: 2, files: [{ ...FILE, rank: 0 }] } },
    "rows that end before they start": {
      part: { replicated: [], sharded: { a: { start: 2, end: 1, rows: 3 } } },
    },
    "rows behind the last one": { part: { replicated: [], sharded: { a: { start: 0, end: 4, rows: 3 } } } },
    "rows below 0": { part: { replicated: [], sharded: { a: { start: -1, end: 1, rows: 3 } } } },
  };
  for (const [what, field] of Object.entries(bad)) {
    test(`with ${what} is refused by reader and writer`, async () => {
      expect((await thrownBy(() => parseManifest(forged(field)))).code).toBe("invalid_container");
      expect(await thrownBy(() => encodeManifest({ ...PLAIN, ...field }))).toBeInstanceOf(TypeError);
    });
  }

  test("with any other key is refused, so that nothing in a file is a path", async () => {
    const strangers = [
      { parts: { files: [{ ...FILE, path: "/etc/passwd" }] } },
      { parts: { files: [FILE], directory: ".." } },
      { part: { replicated: [], sharded: {}, private: [] } },
    ];
    for (const field of strangers) {
      expect((await thrownBy(() => parseManifest(forged(field)))).code).toBe("invalid_container");
    }
  });

  test("names are one piece of a file's name on every system", () => {
    for (const name of ["model", "rank-12", "a.b_c", "0"]) {
      expect([name, isPartName(name)]).toEqual([name, true]);
    }
    for (const name of ["", ".a", "a.", "-a", "a/b", "a\\b", "ä", "a b", "a\u0000"]) {
      expect([name, isPartName(name)]).toEqual([name, false]);
    }
  });
});
