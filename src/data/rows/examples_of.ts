import { allocate } from "../../base/allocate.ts";
import type { Description } from "../../base/description.ts";
import { byteSizeOf } from "../../base/dtype.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { type Like, type Named, namedOf, type Parts, partsOf, partText } from "../../base/parts/named.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { elementCount } from "../../tensor/shape.ts";
import { isTensorLike, type TensorLike, tensorOf } from "../../tensor/tensor_like.ts";
import type { Batch, ExampleSpec } from "../batch_source.ts";
import { batchArray } from "../example.ts";
import type { ExampleMap } from "../example_map.ts";
import { isStoredRows, type StoredRows } from "./stored_rows.ts";
import { TensorRows } from "./tensor_rows.ts";

/** Rows along a first axis: a tensor or numbers in memory, or the rows of a file. */
export type RowsLike = TensorLike | StoredRows;

/** Where the parts of examples are. The first axis of each counts the examples. */
export interface ExampleParts<
  Inputs extends Named<RowsLike> = Named<RowsLike>,
  Labels extends Named<RowsLike> = Named<RowsLike>,
> {
  /** `[examples, …]`; several by name. */
  readonly inputs: Inputs;
  /** `[examples]` or `[examples, …]`; several by name. Left out where there are none, such as to predict. */
  readonly labels?: Labels | undefined;
}

/** Every option of {@link ExampleParts}. */
const EXAMPLE_PARTS: OptionNames<ExampleParts> = { inputs: true, labels: true };

/** An example of tensors. */
export interface TensorExample<Inputs = HostTensor, Labels = HostTensor> {
  /** One row of the inputs; several by name. */
  readonly inputs: Inputs;
  /** One row of the labels; without elements where there are none. */
  readonly labels: Labels;
}

/**
 * A map of the rows of tensors and of files, for `MapLoader`. Of files, what is needed is read, and neighbours by one
 * read. Closing the files is up to the caller.
 *
 * @throws TypeError when the parts do not count the same.
 */
export function examplesOf<
  Inputs extends Named<RowsLike>,
  Labels extends Named<RowsLike> = HostTensor,
>(
  given: ExampleParts<Inputs, Labels>,
): ExampleMap<TensorExample<Like<Inputs, RowsLike, HostTensor>, Like<Labels, RowsLike, HostTensor>>> {
  checkOptions<object>("examplesOf()", given, EXAMPLE_PARTS, "{ inputs, labels }");
  const parts: Parts<Part> = {
    ...partsFrom("inputs", given.inputs),
    ...given.labels === undefined ? { labels: NO_LABELS } : partsFrom("labels", given.labels),
  };
  const length = lengthOf(parts);
  const specs = mapParts(parts, ({ row }) => row);
  return {
    length,
    inputs: namedOf<ExampleSpec>("inputs", specs),
    labels: namedOf<ExampleSpec>("labels", specs),
    async get(index) {
      const row = await eachPart(parts, (part) => tensorAt(part, index));
      return {
        inputs: namedOf("inputs", row) as Like<Inputs, RowsLike, HostTensor>,
        labels: namedOf("labels", row) as Like<Labels, RowsLike, HostTensor>,
      };
    },
    async getBatch(indices): Promise<Batch> {
      const arrays = await eachPart(parts, async (part) => await part.gather(indices));
      return { inputs: namedOf("inputs", arrays), labels: namedOf("labels", arrays) };
    },
    async describe(): Promise<Description> {
      return { name: "examplesOf", ...await eachPart(parts, (part) => part.describe()) };
    },
  };
}

/** The rows of one part, wherever they are. */
interface Part {
  readonly length: number;
  readonly row: ExampleSpec;
  gather(indices: readonly number[]): ArrayBufferView | Promise<ArrayBufferView>;
  describe(): Promise<Description>;
}

/** Labels of any number of examples: nothing reads any. */
const NO_LABELS: Part = {
  length: NaN,
  row: { dtype: "u8", shape: [0] },
  gather: () => new Uint8Array(0),
  describe: () => Promise.resolve({ name: "none" }),
};

function partsFrom(what: string, given: Named<RowsLike>): Parts<Part> {
  const isOne = (value: unknown): value is RowsLike => isStoredRows(value) || isTensorLike(value);
  const rows = Object.entries(partsOf<RowsLike>(what, given, isOne));
  return Object.fromEntries(rows.map(([part, each]) => [part, partOf(each, part)]));
}

function lengthOf(parts: Parts<Part>): number {
  const [[first, { length }] = ["inputs", NO_LABELS], ...others] = Object.entries(parts);
  const other = others.find(([, part]) => part !== NO_LABELS && part.length !== length);
  if (other === undefined) return length;
  throw new TypeError(
    `Inputs and labels count their examples with their first axis, found ${length} ${partText(first)} and ` +
      `${other[1].length} ${partText(other[0])}`,
  );
}

function partOf(value: RowsLike, part: string): Part {
  if (isStoredRows(value)) return storedPart(value);
  const rows = new TensorRows(tensorOf(value, partText(part)));
  return {
    length: rows.length,
    row: rows.row,
    gather: (indices) => rows.gather(indices),
    describe: async () => ({ name: "tensor", checksum: await rows.checksum() }),
  };
}

function storedPart(rows: StoredRows): Part {
  const { length, row } = rows;
  const rowBytes = elementCount(row.shape) * byteSizeOf(row.dtype);
  return {
    length,
    row,
    async gather(indices) {
      const gathered = allocate(indices.length * rowBytes);
      await Promise.all(
        runsOf(indices).map(async ({ at, first, count }) => {
          const place = gathered.subarray(at * rowBytes, (at + count) * rowBytes);
          const read = await rows.read(first, count, place);
          if (read !== place) place.set(read);
        }),
      );
      return batchArray(gathered, row, indices.length);
    },
    describe: () => rows.describe(),
  };
}

/** Neighbours that follow one another: `count` of them from `first` on, at place `at` of the list. */
function runsOf(indices: readonly number[]): { at: number; first: number; count: number }[] {
  const runs: { at: number; first: number; count: number }[] = [];
  for (const [at, index] of indices.entries()) {
    const last = runs.at(-1);
    if (last !== undefined && index === last.first + last.count) last.count++;
    else runs.push({ at, first: index, count: 1 });
  }
  return runs;
}

async function tensorAt(part: Part, index: number): Promise<HostTensor> {
  const { buffer, byteOffset, byteLength } = await part.gather([index]);
  const { dtype, shape } = part.row;
  return HostTensor.fromBytes(new Uint8Array(buffer, byteOffset, byteLength), dtype, shape);
}

function mapParts<T>(parts: Parts<Part>, change: (part: Part) => T): Parts<T> {
  return Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, change(part)]));
}

async function eachPart<T>(parts: Parts<Part>, read: (part: Part) => Promise<T>): Promise<Parts<T>> {
  const all = Object.entries(parts).map(async ([name, part]) => [name, await read(part)] as const);
  return Object.fromEntries(await Promise.all(all));
}
