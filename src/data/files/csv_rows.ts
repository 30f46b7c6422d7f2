/// <reference path="./papaparse.d.ts" />
import { CairnError } from "../../base/errors.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { ExampleStream } from "../stream/example_stream.ts";
import type { FileOfData } from "./byte_location.ts";
import { describeFile, textPieces } from "./file_pieces.ts";

/** A row of a table: the text of each column by its name. */
export type CsvRow = Readonly<Record<string, string>>;

/** Options of {@link csvRows}. */
export interface CsvOptions {
  /** What is between two fields. Default ",". */
  readonly delimiter?: string | undefined;
  /** Names of the columns, of a file whose first row has none. Default: the first row. */
  readonly columns?: readonly string[] | undefined;
}

/** Every option of {@link CsvOptions}. */
export const CSV_OPTIONS: OptionNames<CsvOptions> = { delimiter: true, columns: true };

/** The most characters of a row: a quote that is never closed must not read the rest of a large file. */
const MAX_ROW_CHARACTERS = 16 * 1024 * 1024;

/**
 * The rows of a CSV file, for a `StreamLoader` whose `transform` makes examples of them: `numbersIn(row, ["a", "b"])`.
 * The file is read piece by piece, unpacked where it is compressed with gzip, and parsed by Papa Parse. Empty lines are
 * left out.
 *
 * @throws CairnError `invalid_file` while it is read, with the row, for a quote that is not closed and for a row of
 * another length than the first.
 */
export function csvRows(file: FileOfData, options: CsvOptions = {}): ExampleStream<CsvRow> {
  const { delimiter = ",", columns } = checkOptions("csvRows()", options, CSV_OPTIONS, '{ delimiter: ";" }');
  if (typeof delimiter !== "string" || delimiter === "") {
    throw new TypeError(`delimiter of csvRows() is a text, found ${JSON.stringify(delimiter)}`);
  }
  return {
    async *open({ signal }) {
      let names = columns;
      let number = 0;
      for await (const fields of fieldsOf(textPieces(file, signal), delimiter)) {
        number++;
        if (names === undefined) names = columnNames(fields);
        else yield rowOf(names, fields, number);
      }
    },
    describe: () => describeFile(file),
  };
}

/**
 * All rows of a CSV file, which have to fit into memory. See {@link csvRows}.
 *
 * @throws what {@link csvRows} throws while it is read.
 */
export async function readCsv(file: FileOfData, options: CsvOptions = {}): Promise<CsvRow[]> {
  const rows: CsvRow[] = [];
  const { signal } = new AbortController();
  for await (const row of await csvRows(file, options).open({ epoch: 0, seed: 0, first: 0, signal })) {
    rows.push(row);
  }
  return rows;
}

/**
 * The numbers in some columns of a row, in their order.
 *
 * @throws RangeError for a column that is not there, and for text that is no number: an empty one, too.
 */
export function numbersIn(row: CsvRow, columns: readonly string[]): Float32Array {
  return Float32Array.from(columns, (column) => {
    if (!Object.hasOwn(row, column)) {
      const known = Object.keys(row).map((name) => JSON.stringify(name)).join(", ");
      throw new RangeError(`There is no column ${JSON.stringify(column)} among ${known}`);
    }
    const text = row[column]?.trim() ?? "";
    const number = Number(text);
    if (text !== "" && !Number.isNaN(number) || text === "NaN") return number;
    throw new RangeError(
      `Column ${JSON.stringify(column)} is ${JSON.stringify(text.slice(0, 60))}, expected a number`,
    );
  });
}

async function* fieldsOf(pieces: AsyncIterable<string>, delimiter: string): AsyncGenerator<string[]> {
  const { default: papa } = await import("papaparse");
  let parser: InstanceType<typeof papa.Parser> | undefined;
  let rest = "";
  let rows = 0;
  const parsed = (isLast: boolean): string[][] => {
    parser ??= new papa.Parser({ delimiter, newline: newlineOf(rest) });
    const { data, errors: [error], meta } = parser.parse(rest, 0, !isLast);
    if (error !== undefined) throw invalidRow(rows + error.row + 1, error.message.toLowerCase());
    rest = rest.slice(meta.cursor);
    rows += data.length;
    return data.filter((fields) => fields.length > 1 || fields[0] !== "");
  };
  for await (const piece of pieces) {
    rest += piece;
    // Without a whole row, it is not known how rows end.
    if (parser === undefined && !/[\r\n][^]/.test(rest)) continue;
    yield* parsed(false);
    if (rest.length <= MAX_ROW_CHARACTERS) continue;
    throw invalidRow(rows + 1, `it is longer than ${MAX_ROW_CHARACTERS} characters; is a quote not closed?`);
  }
  if (rest !== "") yield* parsed(true);
}

/** How the first row ends, outside of quotes. */
function newlineOf(text: string): "\n" | "\r\n" | "\r" {
  let isQuoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') isQuoted = !isQuoted;
    else if (!isQuoted && character === "\n") return "\n";
    else if (!isQuoted && character === "\r") return text[at + 1] === "\n" ? "\r\n" : "\r";
  }
  return "\n";
}

function columnNames(fields: readonly string[]): readonly string[] {
  const twice = fields.find((name, at) => fields.indexOf(name) !== at);
  if (twice === undefined) return fields;
  throw new CairnError(
    "invalid_file",
    `Two columns of the CSV file are called ${
      JSON.stringify(twice)
    }; rename one, or give columns and a file without them`,
  );
}

function rowOf(names: readonly string[], fields: readonly string[], number: number): CsvRow {
  if (fields.length === names.length) {
    return Object.fromEntries(names.map((name, at) => [name, fields[at] ?? ""]));
  }
  throw invalidRow(number, `it has ${fields.length} fields, expected ${names.length}`);
}

function invalidRow(number: number, problem: string): CairnError {
  return new CairnError("invalid_file", `Row ${number} of the CSV file cannot be read: ${problem}`, {
    details: { value: number },
  });
}
