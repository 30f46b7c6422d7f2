// Makes dist/bundle of what tsc made of src/: few files instead of some hundred, since every file costs a runtime time
// at an import. The entries that are used by themselves, and often, are bundled for themselves and share files. The
// others are names of one more entry that has everything, or of the main one: each entry more would cut what they
// share into smaller files.
import { createRequire } from "node:module";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { root } from "./runtimes.mjs";

const OWN_ENTRIES = ["mod", "cli", "container", "storage"];
/** The entries whose names `mod` has in a namespace. */
const NAMESPACES = ["keep", "nn", "ops", "optim"];
/** The entry whose names `mod` has. */
const PART_OF_MAIN = "core";

/** By esbuild, which is looked for now only: what imports this module may be what installs packages. */
function buildSync(options) {
  return createRequire(import.meta.url)("esbuild").buildSync(options);
}

const target = join(root, "dist", "bundle");
const everything = join(root, "dist", "everything.js");
const settings = {
  absWorkingDir: root,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "neutral",
  target: "es2022",
  charset: "utf8",
  // The packages are in it, too: their many small files are most of what an import would cost.
  mainFields: ["module", "main"],
  // A parser that is loaded when a table is read, and asks for a module of Node by its old name.
  external: ["node:*", "papaparse"],
  metafile: true,
  logLevel: "warning",
  outdir: target,
};

/** Stands at the top of every file, so that it is said before anything that an older Node lacks. */
const CHECK_NODE = `{
  const { process } = globalThis;
  if (process?.versions?.node !== undefined && process.getBuiltinModule === undefined) {
    throw new Error(
      "Cairn needs Node 20.16 or newer (22.3 of Node 22), found " + process.versions.node,
    );
  }
}`;

/** The entries of package.json by the names of their files in dist/bundle, with the modules that tsc made. */
function entriesByName() {
  const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const entries = Object.values(exports).filter((entry) => typeof entry === "object");
  return new Map(entries.map((entry) => [basename(entry.default, ".js"), join(root, entry.module)]));
}

export function bundle() {
  const modules = entriesByName();
  const others = [...modules.keys()].filter((name) => !OWN_ENTRIES.includes(name));
  const fromEverything = others.filter((name) => !NAMESPACES.includes(name) && name !== PART_OF_MAIN);
  const lines = fromEverything.map((name) => `export * from ${JSON.stringify(modules.get(name))};\n`);
  writeFileSync(everything, lines.join(""));
  const { metafile } = buildSync({
    ...settings,
    entryPoints: {
      ...Object.fromEntries(OWN_ENTRIES.map((name) => [name, modules.get(name)])),
      everything,
      // Started as a thread by its place beside the file that starts it.
      codec_worker: join(root, "dist", "src", "container", "codec", "codec_worker.js"),
    },
    banner: { js: CHECK_NODE },
  });
  rmSync(everything);
  const named = exportsOf(others.map((name) => [name, modules.get(name)]));
  for (const name of others) writeFileSync(join(target, `${name}.js`), reexports(name, named.get(name)));
  writeFileSync(join(target, "LICENSES.txt"), noticesOf(metafile));
}

/** What each module exports. */
function exportsOf(modules) {
  const { metafile } = buildSync({ ...settings, entryPoints: Object.fromEntries(modules), write: false });
  const outputs = Object.entries(metafile.outputs);
  return new Map(outputs.map(([path, { exports }]) => [basename(path, ".js"), exports]));
}

function reexports(name, names) {
  const list = names.join(", ");
  if (NAMESPACES.includes(name)) {
    return `import { ${name} } from "./mod.js";\nexport const { ${list} } = ${name};\n`;
  }
  const from = name === PART_OF_MAIN ? "mod" : "everything";
  return `export { ${list} } from "./${from}.js";\n`;
}

/** The licences of the packages that are in the files. */
function noticesOf({ inputs }) {
  const pattern = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//;
  const packages = new Set(Object.keys(inputs).flatMap((path) => pattern.exec(path)?.[1] ?? []));
  const notices = [...packages].sort().map((name) => {
    const license = readFileSync(join(root, "node_modules", name, "LICENSE"), "utf8");
    return `${name}\n\n${license.trim()}\n`;
  });
  return notices.join("\n---\n\n");
}
