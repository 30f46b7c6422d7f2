import * as z from "zod/mini";

/** One file of a checkpoint that has several. */
export interface PartRecord {
  /** 1 to 64 letters, digits, ".", "_" and "-"; neither end is punctuation, and no two parts are alike but for case. */
  readonly name: string;
  /** The file id of its container, in hexadecimal. */
  readonly fileId: string;
  /** Of the whole file. */
  readonly byteLength: number;
  /**
   * The checksum that stands in its trailer. As that covers the checksums of everything else, it stands for every
   * byte.
   */
  readonly checksum: number;
  /** The rank that wrote it, where ranks did. */
  readonly rank?: number;
}

/** What the index of a checkpoint of several files says of the others. */
export interface PartList {
  /** How many ranks saved it together, where ranks did. */
  readonly worldSize?: number;
  /** Every part of the checkpoint; none may be missing. */
  readonly files: readonly PartRecord[];
}

/** Rows `start` up to but not including `end`, of a tensor that has `rows` in all. */
export interface RowShard {
  /** First row, from 0. */
  readonly start: number;
  /** The row after the last. */
  readonly end: number;
  /** Rows of the whole tensor. */
  readonly rows: number;
}

/** What a part that a rank wrote says of its tensors. Those in neither list are the rank's own. */
export interface PartRole {
  /** Tensors that all ranks had alike. */
  readonly replicated: readonly string[];
  /** Tensors of which this is a part along the first dimension. */
  readonly sharded: Readonly<Record<string, RowShard>>;
}

const PART_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/;
/** A header and a trailer: no container is smaller. */
const LEAST_BYTES = 4096 + 128;

/** Whether `name` can name a part: it becomes a piece of a file's name. */
export function isPartName(name: string): boolean {
  return PART_NAME.test(name) && !name.includes("..");
}

let partList: z.ZodMiniType<PartList> | undefined;
let partRole: z.ZodMiniType<PartRole> | undefined;

/** What a manifest's `parts` has to be. */
export function partListSchema(): z.ZodMiniType<PartList> {
  const count = z.int().check(z.nonnegative());
  const file = z.strictObject({
    name: z.string().check(z.refine(isPartName, "is no name of a part")),
    fileId: z.string().check(z.regex(/^[0-9a-f]{32}$/)),
    byteLength: z.int().check(z.minimum(LEAST_BYTES)),
    checksum: z.int().check(z.minimum(0), z.maximum(0xffff_ffff)),
    rank: z.exactOptional(count),
  });
  return partList ??= z.strictObject({
    worldSize: z.exactOptional(z.int().check(z.minimum(1))),
    files: z.array(file).check(z.minLength(1)),
  }).check(
    z.refine(areDistinct, "names a part, a file or a rank twice"),
    z.refine(haveRanks, "has other ranks than its number of them"),
  );
}

/** What a manifest's `part` has to be. */
export function partRoleSchema(): z.ZodMiniType<PartRole> {
  const count = z.int().check(z.nonnegative());
  const shard = z.strictObject({ start: count, end: count, rows: count })
    .check(z.refine(({ start, end, rows }) => start <= end && end <= rows, "is no range of rows"));
  return partRole ??= z.strictObject({
    replicated: z.array(z.string()),
    sharded: z.record(z.string(), shard),
  });
}

function areDistinct({ files }: PartList): boolean {
  const ranks = files.flatMap(({ rank }) => rank ?? []);
  return new Set(files.map(({ name }) => name.toLowerCase())).size === files.length &&
    new Set(files.map(({ fileId }) => fileId)).size === files.length &&
    new Set(ranks).size === ranks.length;
}

/** Either no file has a rank, or each rank has one. */
function haveRanks({ worldSize, files }: PartList): boolean {
  return worldSize === undefined
    ? files.every(({ rank }) => rank === undefined)
    : files.length === worldSize && files.every(({ rank }) => rank !== undefined && rank < worldSize);
}
