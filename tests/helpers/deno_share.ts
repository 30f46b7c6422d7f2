/**
 * A share of all test files in one module graph, as Bun runs them: `deno test tests/helpers/deno_share.ts -- 2/6`.
 *
 * `deno test tests/` loads all of `src/` anew for each file, and opens a device and compiles its kernels for each.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describeFile } from "./bun_test_on_deno.ts";

const TESTS = fileURLToPath(new URL("../", import.meta.url));

async function testFiles(): Promise<string[]> {
  const names = await readdir(TESTS, { recursive: true });
  return names.filter((name) => name.endsWith("_test.ts")).sort();
}

/** Neighbours in one folder mostly use the same kernels, so that a share is a stretch of the list. */
function shareOf(files: readonly string[], text: string | undefined): string[] {
  const [share, count] = (text ?? "").split("/").map(Number);
  if (share === undefined || count === undefined || !(share >= 1 && share <= count)) {
    throw new TypeError(
      `Which share of the tests? Found "${text ?? ""}"; write "-- 2/6" for the second of six.`,
    );
  }
  const edge = (index: number): number => Math.round((files.length * index) / count);
  return files.slice(edge(share - 1), edge(share));
}

for (const file of shareOf(await testFiles(), process.argv[2])) {
  await describeFile(file, () => import(pathToFileURL(join(TESTS, file)).href));
}
