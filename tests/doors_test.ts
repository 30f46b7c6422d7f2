import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "bun:test";
import { COMMAND_ENTRY, entryFiles, isShortcut } from "./examples/doc_examples.ts";
import { denoDoc, type DocNode, exportedSymbols, isInternal, isNode, nodesIn } from "./helpers/deno_doc.ts";
import { undescribed } from "./helpers/undescribed.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const SECONDS = 1000;
/** How many names somebody who trains and saves has to look through: the main door has at most 80. */
const MAX_MAIN_NAMES = 80;

interface Door {
  readonly file: string;
  readonly text: string;
  readonly statements: readonly string[];
  readonly namespaces: readonly string[];
  /** Names that are exported, types among them. */
  readonly names: readonly string[];
  /** Names of classes and functions that are exported as types only. */
  readonly typeOnly: ReadonlySet<string>;
}

function doorOf(file: string): Door {
  const text = readFileSync(join(root, file), "utf8");
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const namespaces = [...code.matchAll(/^export \* as (\w+) from/gm)].map(([, name = ""]) => name);
  const names: string[] = [...namespaces];
  const typeOnly = new Set<string>();
  for (const [, all, list = ""] of code.matchAll(/^export (type )?\{([^}]*)\}/gm)) {
    for (const item of list.split(",").map((text) => text.trim()).filter((text) => text !== "")) {
      const name = item.replace(/^type /, "").replace(/^.* as /, "");
      names.push(name);
      if (all !== undefined || item.startsWith("type ")) typeOnly.add(name);
    }
  }
  const statements = code.split(";").map((statement) => statement.trim()).filter((text) => text !== "");
  return { file, text, statements, namespaces, names, typeOnly };
}

const doors = [...entryFiles().values()].map(doorOf);
const main = doorOf("mod.ts");

function twice(names: readonly string[]): string[] {
  return names.filter((name, index) => names.indexOf(name) !== index);
}

/** Own types that `value` names, each once: those of the package, not of the language or of a type parameter. */
function typesNamedIn(value: unknown, into: Set<string> = new Set()): Set<string> {
  if (Array.isArray(value)) { for (const item of value) typesNamedIn(item, into); }
  if (!isNode(value) || isInternal(value)) return into;
  const { typeName, resolution } = value;
  if (
    typeof typeName === "string" && isNode(resolution) && /^(import|local)$/.test(String(resolution.kind))
  ) {
    into.add(typeName);
  }
  for (const field of Object.values(value)) typesNamedIn(field, into);
  return into;
}

/**
 * The instance members of a class that is exported as a type. Nobody outside can call its constructor or static
 * methods.
 */
function asType({ constructors: _, methods, ...rest }: DocNode): DocNode {
  return { ...rest, methods: nodesIn(methods).filter(({ isStatic }) => isStatic !== true) };
}

describe("the doors", () => {
  test("the main entry has few enough names, and four namespaces", () => {
    expect(main.names.length).toBeGreaterThan(20);
    expect([main.names.length, main.names.length <= MAX_MAIN_NAMES]).toEqual([main.names.length, true]);
    expect([...main.namespaces].sort()).toEqual(["keep", "nn", "ops", "optim"]);
  });

  test("a door only exports what is behind it", () => {
    const others = doors.flatMap(({ file, statements }) =>
      statements.filter((statement) =>
        !/^export (type )?(\{[^}]*\}|\* as \w+) from "\.[^"]+"$/.test(statement)
      ).map((statement) => `${file}: ${statement}`)
    );
    expect(others).toEqual([]);
  });

  test("a door says what it is for, with one example", () => {
    const marks = doors.map(({ file, text }) => [file, text.match(/^ \* @(module|example)$/gm)]);
    expect(marks).toEqual(doors.map(({ file }) => [file, [" * @example", " * @module"]]));
  });

  test("a name is behind one door only", () => {
    expect(twice(doors.filter(({ file }) => !isShortcut(file)).flatMap(({ names }) => names))).toEqual([]);
  });

  test("what is behind a door of its own so that bundles are small, the main entry has as well", () => {
    const spaces = [...main.text.matchAll(/^export \* as (\w+) from "\.\/([^"]+)"/gm)];
    const files = new Map([...entryFiles()].map(([name, file]) => [name.split("/").at(-1), file]));
    expect(spaces.map(([, name]) => files.get(name))).toEqual(spaces.map(([, , file]) => file));
    expect(doors.filter(({ file }) => isShortcut(file)).length).toBe(spaces.length + 1);
    const core = doorOf("src/doors/core.ts").names;
    expect([core.length > 0, core.filter((name) => !main.names.includes(name))]).toEqual([true, []]);
  });

  test("every file in src/doors is a door of both manifests", () => {
    const files = readdirSync(join(root, "src", "doors")).map((name) => `src/doors/${name}`).sort();
    expect(doors.map(({ file }) => file).filter((file) => file.startsWith("src/doors/")).sort()).toEqual(
      files,
    );
    const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      exports: Record<string, { default: string; module: string; types: string }>;
    };
    delete exports[COMMAND_ENTRY];
    const packed = Object.entries(exports).filter(([door]) => door !== "./package.json");
    expect(packed.map(([door]) => door).sort()).toEqual(
      [...entryFiles().keys()].map((name) => name.replace("@cairn-ml/cairn", ".")).sort(),
    );
    for (const [door, { default: bundled, module: script, types }] of packed) {
      const source = script.replace(/^\.\/dist\//, "").replace(/\.js$/, ".ts");
      expect([door, existsSync(join(root, source)), types, bundled]).toEqual([
        door,
        true,
        script.replace(/\.js$/, ".d.ts"),
        `./dist/bundle/${door === "." ? "mod" : door.slice(2)}.js`,
      ]);
    }
  });

  test("the command is the same file in both manifests", () => {
    const read = (file: string) => JSON.parse(readFileSync(join(root, file), "utf8"));
    const { bin, exports } = read("package.json") as {
      bin: Record<string, string>;
      exports: Record<string, { default: string; module: string }>;
    };
    const source = (read("deno.json") as { exports: Record<string, string> }).exports[COMMAND_ENTRY];
    const { default: bundled, module } = exports[COMMAND_ENTRY] ?? {};
    expect([bin, bundled, module, source]).toEqual([
      { cairn: "dist/bundle/cli.js" },
      "./dist/bundle/cli.js",
      "./dist/src/cli/main.js",
      "./src/cli/main.ts",
    ]);
  });

  test("the documentation knows every type that a signature names", async () => {
    const { errors } = await denoDoc("--lint");
    // Proof that it looked: every door is read, and what has no comment is named.
    expect(errors).toContain("documentation lint error");
    expect(errors.split("\n").filter((line) => line.includes("private-type-ref"))).toEqual([]);
  }, 60 * SECONDS);

  test("every name and every member says what it is, or implements what does", async () => {
    const symbols = await exportedSymbols();
    const { members, missing } = undescribed(symbols);
    expect([symbols.length > 300, members > 1000]).toEqual([true, true]);
    expect(missing).toEqual([]);
  }, 60 * SECONDS);

  // The documentation tool passes over constructors, static methods and what is in a namespace.
  test("every type that a constructor, a static method or a namespace names is behind a door", async () => {
    const typeOnly = new Set(doors.flatMap((door) => [...door.typeOnly]));
    const symbols = await exportedSymbols();
    const known = new Set(symbols.map(({ name }) => name));
    const named = new Map<string, string>();
    for (const { name, declarations } of symbols) {
      for (const { kind, def } of declarations) {
        if (kind === "namespace" || !isNode(def)) continue;
        for (const type of typesNamedIn(typeOnly.has(name) ? asType(def) : def)) named.set(type, name);
      }
    }
    expect(named.size).toBeGreaterThan(100);
    expect([...named].filter(([type]) => !known.has(type)).map(([type, by]) => `${type}, by ${by}`)).toEqual(
      [],
    );
  }, 60 * SECONDS);
});
