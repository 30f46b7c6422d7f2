import { describe, expect, test } from "bun:test";
import { CHUNK, CHUNKS, codeOf, goodFile, TENSORS } from "./file_edits.ts";
import { forged, type Parts, peek, poke, tensorColumns } from "./forge.ts";

const file = await goodFile();

describe("numbers at the edges (G1)", () => {
  const EDGES = [
    0n,
    1n,
    2n ** 8n - 1n,
    2n ** 16n - 1n,
    2n ** 31n,
    2n ** 32n - 1n,
    2n ** 32n,
    2n ** 53n - 1n,
    2n ** 53n,
    2n ** 53n + 1n,
    2n ** 63n,
    2n ** 64n - 1n,
  ];

  const FIELDS: [
    string,
    (parts: Parts, trailerBytes: Uint8Array | undefined) => [Uint8Array, number, 1 | 2 | 4 | 8][],
  ][] = [
    ["the trailer", (_, trailerBytes) => {
      if (trailerBytes === undefined) return [];
      const at = [0, 8, 24, 32, 48, 56, 72, 80, 96, 104].map((
        offset,
      ): [Uint8Array, number, 8] => [trailerBytes, offset, 8]);
      const counts = [20, 44, 68, 92].map((offset): [Uint8Array, number, 4] => [trailerBytes, offset, 4]);
      return [...at, ...counts];
    }],
    ["the tensor table", ({ tensors }) => {
      const columns = tensorColumns(tensors, TENSORS) as Record<
        "rawOffset" | "sizes" | "alias" | "nameLength" | "dtype" | "rank" | "names",
        number
      >;
      const fields: [Uint8Array, number, 1 | 2 | 4 | 8][] = [[tensors, 0, 4], [tensors, 4, 4]];
      for (let at = columns.rawOffset; at < columns.alias; at += 8) fields.push([tensors, at, 8]);
      for (let at = columns.alias; at < columns.nameLength; at += 4) fields.push([tensors, at, 4]);
      for (let at = columns.nameLength; at < columns.dtype; at += 2) fields.push([tensors, at, 2]);
      for (let at = columns.dtype; at < columns.names; at++) fields.push([tensors, at, 1]);
      return fields;
    }],
    ["the chunk table", ({ chunks }) => {
      const fields: [Uint8Array, number, 1 | 4 | 8][] = [];
      for (let index = 0; index < CHUNKS; index++) {
        fields.push([chunks, CHUNK.storedOffset + 8 * index, 8]);
        for (const column of ["storedLength", "rawLength", "storedCrc", "rawCrc"] as const) {
          fields.push([chunks, CHUNK[column] + 4 * index, 4]);
        }
        fields.push([chunks, CHUNK.codec + index, 1], [chunks, CHUNK.dtype + index, 1]);
      }
      return fields;
    }],
  ];

  for (const [where, fieldsOf] of FIELDS) {
    test(`every number of ${where} set to every edge is refused, unless it was that already`, async () => {
      let tried = 0;
      const count = fieldsOf(takeApartOnce(), new Uint8Array(128)).length;
      for (let field = 0; field < count; field++) {
        for (const edge of EDGES) {
          let wasThatAlready = false;
          const apply = (target: [Uint8Array, number, 1 | 2 | 4 | 8] | undefined): void => {
            if (target === undefined) return;
            const [bytes, at, width] = target;
            const value = edge & (2n ** BigInt(8 * width) - 1n);
            wasThatAlready = peek(bytes, at, width) === value;
            poke(bytes, at, width, value);
          };
          const bytes = forged(file, (parts) => {
            if (where !== "the trailer") return apply(fieldsOf(parts, undefined)[field]);
            parts.editTrailer = (view) => apply(fieldsOf(parts, new Uint8Array(view.buffer))[field]);
          });
          const code = await codeOf(bytes);
          // The empty tensor may be [0, anything] of any dtype: that is another file, but no bad one.
          const isFree = where === "the tensor table" && (field === 16 || field === 31) &&
            code === "accepted";
          if ((code === "accepted") !== wasThatAlready && !isFree) {
            throw new Error(`field ${field} as ${edge} is ${code}`);
          }
          tried++;
        }
      }
      expect(tried).toBeGreaterThan(160);
    });
  }

  function takeApartOnce(): Parts {
    let taken: Parts | undefined;
    forged(file, (parts) => void (taken = parts));
    return taken as Parts;
  }
});
