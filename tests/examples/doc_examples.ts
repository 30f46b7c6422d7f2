import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../../", import.meta.url);

/** A block of TypeScript in a page or in a comment. */
export interface DocExample {
  /** The file from the root of the project, and the number of the block's first line. */
  readonly place: string;
  readonly code: string;
}

/** The entry that is run and not imported: the command. */
export const COMMAND_ENTRY = "./cli";

/**
 * What each name of the package that is imported stands for, as in `deno.json`: `@cairn-ml/cairn` and the doors beside
 * it.
 */
export function entryFiles(): Map<string, string> {
  const { name, exports } = JSON.parse(readFileSync(new URL("deno.json", ROOT), "utf8")) as {
    name: string;
    exports: Record<string, string>;
  };
  return new Map(
    Object.entries(exports).filter(([door]) => door !== COMMAND_ENTRY).map((
      [door, file],
    ) => [name + door.slice(1), file.replace(/^\.\//, "")]),
  );
}

/**
 * Whether an entry has only names that the main entry has, too, in a namespace or by themselves: it is there so that
 * bundles are small.
 */
export function isShortcut(file: string): boolean {
  return file === "src/doors/core.ts" || file !== "mod.ts" && !file.startsWith("src/doors/");
}

/** The TypeScript blocks of a file: of a page all that are fenced, of a source those in its doc comments. */
export function examplesIn(file: string): DocExample[] {
  const text = readFileSync(new URL(file, ROOT), "utf8");
  const fences = file.endsWith(".md")
    ? /^()```ts\n([\s\S]*?)^```$/gm
    : /^( *)\* ```ts\n([\s\S]*?)^ *\* ```$/gm;
  return [...text.matchAll(fences)].map(({ 1: indent = "", 2: block = "", index }) => ({
    place: `${file}:${text.slice(0, index).split("\n").length + 1}`,
    code: file.endsWith(".md") ? block : block.replaceAll(new RegExp(`^${indent}\\* ?`, "gm"), ""),
  }));
}

/**
 * Every example that a reader may copy: of the entries, of everything that is documented behind them, and of the
 * pages.
 */
export function allExamples(): DocExample[] {
  const pages = readdirSync(new URL("docs/", ROOT)).filter((name) => name.endsWith(".md"));
  const sources = readdirSync(new URL("src/", ROOT), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts")).map((name) => `src/${name.replaceAll("\\", "/")}`);
  const files = new Set([
    "README.md",
    ...pages.map((name) => `docs/${name}`),
    ...entryFiles().values(),
    ...sources,
  ]);
  return [...files].sort().flatMap(examplesIn);
}

/** An example that needs no installed package: its imports name the files themselves. */
export function runnable({ code }: DocExample): string {
  let text = code;
  for (const [name, file] of entryFiles()) {
    text = text.replaceAll(`from "${name}"`, `from ${JSON.stringify(new URL(file, ROOT).href)}`);
  }
  return text;
}

/** What an entry exports, by name. */
function exportsOf(file: string): string[] {
  const text = readFileSync(new URL(file, ROOT), "utf8");
  const lists = [...text.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(([, list = ""]) =>
    list.split(",")
  );
  const names = lists.map((item) => item.trim().replace(/^type /, "").replace(/^.* as /, ""));
  const spaces = [...text.matchAll(/^export \* as (\w+)/gm)].map(([, name = ""]) => name);
  return [...names, ...spaces].filter((name) => name !== "");
}

/**
 * An example as a module that a compiler can check. One without imports gets those of the entries' names that it
 * uses, as somebody who copies it would write them.
 */
export function checkable(example: DocExample): string {
  const { code } = example;
  const entries = [...entryFiles()].filter(([, file]) => !isShortcut(file));
  const imports = /^import /m.test(code) ? [] : entries.flatMap(([name, file]) => {
    const used = exportsOf(file).filter((name) =>
      new RegExp(`(?<![.\\w])${name}\\b(?!:)`).test(code) &&
      !new RegExp(`(?:const|let|class|function) ${name}\\b`).test(code)
    );
    return used.length === 0 ? [] : [`import { ${used.join(", ")} } from "${name}";`];
  });
  return `// ${example.place}\n${imports.join("\n")}\n${code}\nexport {};\n`;
}

/** The root of the project as a path. */
export const rootPath: string = fileURLToPath(ROOT);
