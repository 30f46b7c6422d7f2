import { peek, poke, tensorColumns } from "../../container/forge.ts";
import { CHUNK, CHUNKS, type Edit, TENSORS } from "../../container/file_edits.ts";

/** A name, and what it does to a good file. The checksums over the change come out right. */
export type Case = readonly [name: string, edit: Edit];

type Width = 1 | 2 | 4 | 8;

/** Where integers go wrong: signs, and the ends of 8, 16, 31, 32, 53, 63 and 64 bits. */
const EDGES: readonly bigint[] = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0xffffn,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 53n + 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];

const HEADER: readonly [string, number, Width][] = [
  ["format version", 8, 4],
  ["required flags", 12, 4],
  ["data offset", 20, 4],
  ["reserved word", 40, 8],
];

const SECTIONS = ["tensor table", "chunk table", "reference table", "manifest"];

/** Row G1: each numeric field of the header, the trailer and both tables with each edge value that it can hold. */
export function numberCases(): Case[] {
  const cases: Case[] = [];
  for (const [field, at, width] of HEADER) {
    for (const value of valuesOf(width)) {
      cases.push([`${field} = ${value}`, (parts) => poke(parts.header, at, width, value)]);
    }
  }
  for (const [field, at, width] of trailerFields()) {
    for (const value of valuesOf(width)) {
      cases.push([`${field} = ${value}`, (parts) => {
        parts.editTrailer = (view) => poke(new Uint8Array(view.buffer), at, width, value);
      }]);
    }
  }
  return [...cases, ...tensorCases(), ...chunkCases()];
}

function trailerFields(): [string, number, Width][] {
  const fields: [string, number, Width][] = SECTIONS.flatMap((name, index): [string, number, Width][] => [
    [`${name}'s offset`, 24 * index, 8],
    [`${name}'s length`, 24 * index + 8, 8],
    [`${name}'s count`, 24 * index + 20, 4],
  ]);
  return [...fields, ["file length", 96, 8], ["raw length", 104, 8]];
}

function tensorCases(): Case[] {
  const columns: [string, Width, number][] = [
    ["rawOffset", 8, 1],
    ["byteLength", 8, 0],
    ["byteLength", 8, 2],
    ["sizes", 8, 0],
    ["sizes", 8, 3],
    ["alias", 4, 1],
    ["nameLength", 2, 0],
    ["nameLength", 2, 4],
    ["dtype", 1, 0],
    ["dtype", 1, 3],
    ["rank", 1, 0],
    ["rank", 1, 3],
  ];
  return columns.flatMap(([column, width, index]) =>
    valuesOf(width).map((value): Case => [`${column} of tensor ${index} = ${value}`, (parts) => {
      const start = tensorColumns(parts.tensors, TENSORS)[column] as number;
      poke(parts.tensors, start + index * width, width, value);
    }])
  );
}

function chunkCases(): Case[] {
  const columns: [keyof typeof CHUNK, Width][] = [
    ["storedOffset", 8],
    ["storedLength", 4],
    ["rawLength", 4],
    ["codec", 1],
    ["dtype", 1],
  ];
  return columns.flatMap(([column, width]) =>
    [0, CHUNKS - 1].flatMap((index) =>
      valuesOf(width).map((value): Case => [`${column} of chunk ${index} = ${value}`, (parts) => {
        const at = CHUNK[column] + index * width;
        // One off and twice as much come from what is there, not from a table.
        poke(parts.chunks, at, width, value === 1n ? peek(parts.chunks, at, width) + 1n : value);
      }])
    )
  );
}

function valuesOf(width: Width): bigint[] {
  return EDGES.filter((value) => value < 2n ** BigInt(8 * width));
}
