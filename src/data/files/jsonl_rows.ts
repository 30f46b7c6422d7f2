import { type JsonValue, parseStrictJson } from "../../base/canonical_json.ts";
import { CairnError } from "../../base/errors.ts";
import type { ExampleStream } from "../stream/example_stream.ts";
import type { FileOfData } from "./byte_location.ts";
import { describeFile, textPieces } from "./file_pieces.ts";

/** The most characters of a line: what is no file of lines must not be read as a whole. */
const MAX_LINE_CHARACTERS = 64 * 1024 * 1024;

/**
 * The values of a file that has a JSON text a line, for a `StreamLoader` whose `transform` makes examples of them. The
 * file is read piece by piece, and unpacked where it is compressed with gzip. Empty lines are left out.
 *
 * @throws CairnError `invalid_file` while it is read, with the line.
 */
export function jsonlRows(file: FileOfData): ExampleStream<JsonValue> {
  return {
    async *open({ signal }) {
      let number = 0;
      for await (const line of lines(textPieces(file, signal))) {
        number++;
        if (line.trim() !== "") yield parseStrictJson(line, `Line ${number}`);
      }
    },
    describe: () => describeFile(file),
  };
}

/** The lines of a text, without what ends them. */
async function* lines(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of pieces) {
    const all = (rest + piece).split("\n");
    rest = all.pop() ?? "";
    yield* all;
    if (rest.length <= MAX_LINE_CHARACTERS) continue;
    throw new CairnError(
      "invalid_file",
      `A line has more than ${MAX_LINE_CHARACTERS} characters; is the file one JSON text a line?`,
    );
  }
  if (rest !== "") yield rest;
}
