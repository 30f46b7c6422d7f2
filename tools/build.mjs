// Compiles mod.ts and src/ with its doors to dist/ with plain tsc, and the examples to build/ so that Node can run
// them.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, tsc } from "./runtimes.mjs";

export function build() {
  rmSync(join(root, "dist"), { recursive: true, force: true });
  tsc(["-p", "tsconfig.build.json"]);
  nameDisposable(join(root, "dist"));
}

/**
 * Types that use `Symbol.asyncDispose` say which library has it, so that they can be read for any target. The sources
 * cannot: JSR takes no references to libraries.
 */
function nameDisposable(folder) {
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".d.ts")) continue;
    const text = readFileSync(join(folder, name), "utf8");
    if (!text.includes("Symbol.asyncDispose")) continue;
    writeFileSync(join(folder, name), `/// <reference lib="esnext.disposable" />\n${text}`);
  }
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
