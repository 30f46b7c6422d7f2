/*
 * Writes the golden files of this version of the format: `bun tests/golden/make_golden.ts`, or with `deno run
 * -A`. They are part of the repository. A change to the code must not need new ones: what was written once
 * has to be readable for ever. A new version of the format gets files of its own, beside these.
 */
import { existsSync, writeFileSync } from "node:fs";
import { writeContainer } from "../../src/container/write_container.ts";
import { goldenContents } from "./golden_contents.ts";

for (const codec of ["raw", "deflate"] as const) {
  const file = new URL(`v1_${codec}.cairn`, import.meta.url);
  if (existsSync(file)) {
    throw new Error(`${file.pathname} is there already; golden files are not written twice`);
  }
  writeFileSync(file, await writeContainer(goldenContents(codec)));
}
