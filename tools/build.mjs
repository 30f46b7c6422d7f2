// Compiles mod.ts and src/ with its doors to dist/ with plain tsc, and the examples to build/ so that Node can run them.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { root, tsc } from "./runtimes.mjs";

export function build() {
  rmSync(join(root, "dist"), { recursive: true, force: true });
  tsc(["-p", "tsconfig.build.json"]);
}

/** The examples import the package by its name, which Node resolves to dist/. */
export function buildExamples() {
  rmSync(join(root, "build"), { recursive: true, force: true });
  tsc(["-p", "tsconfig.examples.json"]);
}

if (process.argv[1] === join(root, "tools", "build.mjs")) {
  build();
  buildExamples();
}
