// Writes on, with the weights that train.ts has saved last. Another seed writes something else.
//
//   bun examples/language/generate.ts [directory] [--text "Call me Ishmael."] [--length 400] [--seed 1]
//   deno run -A examples/language/generate.ts …
import process from "node:process";
import { parseArgs } from "node:util";
import { getCheckpoint } from "@cairn-ml/cairn";
import { CONTEXT } from "./model.ts";
import { loadMobyDick } from "./text.ts";
import { write } from "./write.ts";

const { values: { text, length, seed }, positionals: [directory] } = parseArgs({
  options: {
    text: { type: "string", default: "Call me Ishmael. " },
    length: { type: "string", default: "400" },
    seed: { type: "string", default: "1" },
  },
  allowPositionals: true,
});
const { alphabet } = await loadMobyDick(0);
const beginning = [...text].map((character) => alphabet.indexOf(character)).slice(-CONTEXT);
if (beginning.includes(-1)) throw new Error(`Moby-Dick has no ${[...text][beginning.indexOf(-1)]}`);
const path = await getCheckpoint(directory ?? "checkpoints/language_600");
process.stdout.write(text);
for await (
  const place of write({ path, alphabet, beginning, length: Number(length), seed: Number(seed) })
) {
  process.stdout.write(alphabet[place] ?? "");
}
process.stdout.write("\n");
