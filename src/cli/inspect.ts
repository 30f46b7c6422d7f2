import { NameSelection } from "../base/name_pattern.ts";
import type { ListedTensor, OpenedFile } from "./open/opened_file.ts";
import { openFile } from "./open/open_file.ts";
import type { Inspection } from "./inspect/inspection.ts";
import { inspectionJson } from "./inspect/inspection_json.ts";
import { inspectionText } from "./inspect/inspection_text.ts";
import { type Statistics, statisticsOf } from "./inspect/statistics.ts";
import { readWhole } from "./open/opened_file.ts";
import { jsonLine } from "./print/json.ts";
import { defineVerb, JSON_ARG, listOf, UsageError, type Verb } from "./verb.ts";

/** Tensors up to this size are read once for their statistics, and larger ones twice. */
const HELD_BYTES = 256 * 1024 * 1024;

/** `cairn inspect FILE`. */
export const inspect: Verb = defineVerb({
  name: "inspect",
  description: "Shows what is in a file: tensors, state, metrics, where it comes from",
  args: {
    file: {
      type: "positional",
      required: true,
      description:
        "A file, a directory (its newest checkpoint), an http(s):// address, or s3://bucket/prefix",
    },
    stats: {
      type: "boolean",
      description: "Read the tensors: least, greatest, mean, shares of zeros and NaN, a histogram",
    },
    include: {
      type: "string",
      valueHint: "pattern",
      description: "Only tensors of these names, in which * is any text; may be repeated",
    },
    all: { type: "boolean", description: "Show long lists to their end" },
    json: JSON_ARG,
  },
  lists: ["include"],
  notes: [
    "Takes .cairn, safetensors (an index too), npz, npy and PyTorch files, by what they are and not by their names.",
    "Reads only what it shows: the tables, and with --stats the tensors.",
    "",
  ],
  async run({ file: location, stats, include, all, json }, output) {
    const file = await openFile(location);
    try {
      const listed = await file.list();
      const selection = new NameSelection(listOf(include));
      const tensors = listed.filter(({ name }) => selection.has(name));
      const [unmatched] = selection.unmatched();
      if (unmatched !== undefined) {
        throw new UsageError(`No tensor of "${location}" matches ${unmatched.replace(/^only/, "--include")}`);
      }
      const statistics = stats ? await statisticsOfAll(file, tensors) : new Map<string, Statistics>();
      const inspection: Inspection = {
        file,
        tensors,
        total: listed.length,
        statistics,
        isAll: all === true,
      };
      output.write(json ? jsonLine(inspectionJson(inspection)) : inspectionText(inspection, output));
      return tensors.some(({ problem }) => problem !== undefined) ? 1 : 0;
    } finally {
      await file.close();
    }
  },
});

async function statisticsOfAll(
  file: OpenedFile,
  tensors: readonly ListedTensor[],
): Promise<Map<string, Statistics>> {
  const found = new Map<string, Statistics>();
  for (const tensor of tensors) {
    const { name, dtype, byteLength, aliasOf } = tensor;
    if (dtype === undefined) continue;
    const known = aliasOf === undefined ? undefined : found.get(aliasOf);
    if (known !== undefined) found.set(name, known);
    else if (byteLength > HELD_BYTES) found.set(name, await statisticsOf(dtype, () => file.pieces(name)));
    else {
      const bytes = await readWhole(file, tensor);
      found.set(name, await statisticsOf(dtype, () => [bytes]));
    }
  }
  return found;
}
