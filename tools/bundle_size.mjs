// How many bytes a script is in a browser: bundled by esbuild with nothing left out, minified, and compressed as
// servers do.
import { build } from "esbuild";
import { basename } from "node:path";
import { gzipSync } from "node:zlib";
import { root } from "./runtimes.mjs";

/** @see BundleSize in bundle_size.d.mts. */
export async function bundleSize(code) {
  const { outputFiles, metafile } = await build({
    stdin: { contents: code, resolveDir: root, sourcefile: "script.js" },
    absWorkingDir: root,
    outdir: "build",
    bundle: true,
    splitting: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    legalComments: "none",
    write: false,
    metafile: true,
    logLevel: "error",
  });
  const bytes = new Map(outputFiles.map(({ path, contents }) => [
    basename(path),
    gzipSync(contents, { level: 9 }).byteLength,
  ]));
  const outputs = new Map(Object.entries(metafile.outputs).map(([path, output]) => [basename(path), output]));
  const isOfScript = ([, { entryPoint }]) => entryPoint === "script.js" || entryPoint === "<stdin>";
  const atFirst = new Set([...outputs].filter(isOfScript).map(([name]) => name));
  if (atFirst.size !== 1) throw new Error("esbuild made no file of the script");
  // A set that grows while it is walked.
  for (const name of atFirst) {
    const { imports } = outputs.get(name);
    for (const { kind, path } of imports) if (kind === "import-statement") atFirst.add(basename(path));
  }
  const sum = (names) => [...names].reduce((total, name) => total + bytes.get(name), 0);
  return { atFirst: sum(atFirst), all: sum(bytes.keys()) };
}
