/*
 * Writes the golden files of golden.json that are not there yet: `bun tests/golden/make_golden.ts`, or with `deno
 * run -A`. They are part of the repository. A change to the code must not need new ones: what was written once
 * has to be readable for ever. A new version of the format gets files of its own, beside these.
 */
import { existsSync, writeFileSync } from "node:fs";
import { writeContainer } from "../../src/container/write/write_container.ts";
import { asMade, contentsOf, GOLDEN_FILES } from "./golden_files.ts";

for (const golden of GOLDEN_FILES) {
  const file = new URL(golden.file, import.meta.url);
  if (!existsSync(file)) writeFileSync(file, await asMade(golden, () => writeContainer(contentsOf(golden))));
}
