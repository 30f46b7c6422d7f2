// Bundles src/page/app with esbuild to one HTML file that needs no other, and writes it, compressed and as base64, to
// src/page/page_gzip.ts. The same sources and packages give the same bytes: `--check` says whether the tree has them.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "fflate";
import { root } from "./runtimes.mjs";

const app = join(root, "src", "page", "app");
const target = join(root, "src", "page", "page_gzip.ts");

async function bundled(file) {
  const { outputFiles: [output] } = await build({
    entryPoints: [join(app, file)],
    absWorkingDir: root,
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2022",
    legalComments: "none",
    write: false,
    logLevel: "warning",
    // Only threads ask for the place of a module, and the page has none.
    logOverride: { "empty-import-meta": "silent" },
  });
  return output.text.trim();
}

/** Nothing but this very script may run, and it may talk only to the server that the page came from. */
function policyFor(script) {
  const hash = createHash("sha256").update(script).digest("base64");
  return [
    "default-src 'none'",
    `script-src 'sha256-${hash}' 'wasm-unsafe-eval'`,
    "style-src 'unsafe-inline'",
    "img-src data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
}

// In a script of HTML, this would begin a comment.
const script = (await bundled("main.ts")).replaceAll("<!--", "<\\!--");
const style = await bundled("page.css");
if (/<\/script/i.test(script) || /<\/style/i.test(style)) {
  throw new Error("What is bundled would end its element");
}
const parts = { script, style, policy: policyFor(script) };
const page = readFileSync(join(app, "page.html"), "utf8")
  .replace(/\s*\/\* (policy|style|script) \*\/\s*/g, (_, name) => parts[name]);
if (!Object.values(parts).every((part) => page.includes(part))) {
  throw new Error("page.html has no place for something");
}
const compressed = gzipSync(Buffer.from(page), { level: 9, mtime: 0 });
// The system that compressed it is written in the header, and differs.
compressed[9] = 255;
const lines = Buffer.from(compressed).toString("base64").match(/.{1,100}/g);
const text = `// Made by \`node tools/build_page.mjs\` from src/page/app. Do not edit.

/** The page, compressed with gzip, in base64. */
export const PAGE_GZIP: string = [
${lines.map((line) => `  "${line}",`).join("\n")}
].join("");
`;
if (process.argv.includes("--check")) {
  if (readFileSync(target, "utf8") !== text) {
    throw new Error(`${target} is not what src/page/app makes; run npm run build:page`);
  }
} else {
  writeFileSync(target, text);
}
console.log(
  `page: ${page.length} bytes, ${compressed.byteLength} compressed (script ${script.length}, style ${style.length})`,
);
