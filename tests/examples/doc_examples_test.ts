import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { runChild } from "../helpers/child.ts";
import { allExamples, checkable, entryFiles, examplesIn, rootPath } from "./doc_examples.ts";
import { runExample } from "./run_example.ts";

const MINUTES = 60_000;
const isDeno = process.versions.deno !== undefined;

describe("the example at the top of", () => {
  for (const [name, file] of entryFiles()) {
    test(`${file} runs`, async () => {
      const [example] = examplesIn(file);
      expect([file, example === undefined ? "none" : "one"]).toEqual([file, "one"]);
      if (example === undefined) return;
      expect(example.code).toContain(`from "${name}"`);
      const { status, errors } = await runExample(example);
      const isWithoutGpu = /no_webgpu|no_adapter/.test(errors) && process.env.REQUIRE_GPU !== "1";
      if (isWithoutGpu) return console.log(`SKIP gpu: the example of ${file} (no adapter)`);
      const isWithoutMpi = errors.includes("Found no MPI library");
      if (isWithoutMpi) return console.log(`SKIP mpi: the example of ${file} (no MPI library)`);
      expect([status, status === 0 ? "" : errors]).toEqual([0, ""]);
    }, 5 * MINUTES);
  }
});

test("there is an example in the README, in pages and in comments", () => {
  const files = new Set(allExamples().map(({ place }) => place.split(":")[0]));
  expect([...files]).toEqual(
    expect.arrayContaining(["README.md", "docs/engines.md", "src/train/trainer.ts"]),
  );
});

// The compiler is the same in every runtime, and takes its time.
if (!isDeno) {
  test("every example in the README, in pages and in comments type-checks", async () => {
    mkdirSync(join(rootPath, "build"), { recursive: true });
    // In the project, so that the compiler finds the packages.
    const folder = mkdtempSync(join(rootPath, "build", "examples-"));
    try {
      const examples = allExamples();
      examples.forEach((example, i) => writeFileSync(join(folder, `example_${i}.ts`), checkable(example)));
      const config = {
        extends: join(rootPath, "tsconfig.json"),
        compilerOptions: {
          noUnusedLocals: false,
          isolatedDeclarations: false,
          declaration: false,
          types: ["node"],
          // Imports that an example gets do not say which names are types.
          verbatimModuleSyntax: false,
        },
        include: ["*.ts", join(rootPath, "tests", "examples", "surroundings.d.ts")],
      };
      writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
      const compiler = join(rootPath, "node_modules", "typescript", "bin", "tsc");
      const { output } = await runChild(["node", compiler, "-p", folder]);
      const named = output.replaceAll(/\S*example_(\d+)\.ts/g, (_, i) => examples[Number(i)]?.place ?? "");
      expect(named).toBe("");
    } finally {
      rmSync(folder, { recursive: true });
    }
  }, 10 * MINUTES);
}
