import { NameSelection } from "../base/name_pattern.ts";
import { compareFiles, hasDifference } from "./diff/comparison.ts";
import { comparisonJson, comparisonText } from "./diff/print_comparison.ts";
import { openFile } from "./open/open_file.ts";
import { jsonLine } from "./print/json.ts";
import { defineVerb, JSON_ARG, listOf, UsageError, type Verb } from "./verb.ts";

/** `cairn diff A B`. */
export const diff: Verb = defineVerb({
  name: "diff",
  description: "Compares two files: state, shapes, and the elements of each tensor",
  args: {
    a: {
      type: "positional",
      required: true,
      description: "A file, a directory (its newest checkpoint), or an address",
    },
    b: { type: "positional", required: true, description: "The other one, of any format" },
    include: {
      type: "string",
      valueHint: "pattern",
      description: "Only tensors of these names, in which * is any text; may be repeated",
    },
    tolerance: {
      type: "string",
      valueHint: "number",
      description: "Relative differences up to this are none, such as 1e-6",
    },
    tensors: { type: "boolean", description: "Compare tensors only, and no state" },
    all: { type: "boolean", description: "Show equal tensors too, and long lists to their end" },
    json: JSON_ARG,
  },
  lists: ["include"],
  notes: [
    "Greatest is the greatest |a - b|; relative is the length of a - b in parts of the length of a, as vectors.",
    "Exits with 1 where anything differs.",
    "",
  ],
  async run({ a: pathA, b: pathB, include, tolerance, tensors, all, json }, output) {
    const options = {
      selection: new NameSelection(listOf(include)),
      tolerance: toleranceOf(tolerance),
      withState: tensors !== true,
    };
    const a = await openFile(pathA);
    try {
      const b = await openFile(pathB);
      try {
        const comparison = await compareFiles(a, b, options);
        const [unmatched] = options.selection.unmatched();
        if (unmatched !== undefined) {
          throw new UsageError(`No tensor of either file matches ${unmatched.replace(/^only/, "--include")}`);
        }
        const files = { a, b };
        output.write(
          json
            ? jsonLine(comparisonJson(files, comparison))
            : comparisonText(files, comparison, all === true, output),
        );
        return hasDifference(comparison) ? 1 : 0;
      } finally {
        await b.close();
      }
    } finally {
      await a.close();
    }
  },
});

function toleranceOf(text: string | undefined): number {
  const value = text === undefined ? 0 : Number(text);
  if (value >= 0 && text !== "") return value;
  throw new UsageError(`--tolerance is ${text}, expected a number from 0, such as 1e-6`);
}
