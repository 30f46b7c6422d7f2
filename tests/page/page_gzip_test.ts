import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "bun:test";
import { pageText } from "../../src/page/server/page_text.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

test("the page in the tree is what src/page/app makes", () => {
  const needed = ["esbuild", "@observablehq/plot"];
  if (!needed.every((name) => existsSync(new URL(`../../node_modules/${name}`, import.meta.url)))) {
    console.log("SKIP page_gzip: esbuild and Observable Plot are not installed");
    return;
  }
  const { status, stderr } = spawnSync("node", ["tools/build_page.mjs", "--check"], { cwd: root });
  expect([status, String(stderr)]).toEqual([0, ""]);
}, 600_000);

test("the page is one file that loads no other, and only its own script may run", () => {
  const page = pageText();
  expect(page.match(/<script\b[^>]*>/g)).toEqual(["<script>"]);
  expect(page.match(/<(link|img|iframe|object|embed)\b[^>]*>/g)).toEqual(['<link rel="icon" href="data:,">']);
  const script = page.slice(page.indexOf("<script>") + "<script>".length, page.lastIndexOf("</script>"));
  const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1]?.split("; ") ?? [];
  const hash = createHash("sha256").update(script).digest("base64");
  expect(policy).toContain(`script-src 'sha256-${hash}' 'wasm-unsafe-eval'`);
  for (
    const rule of ["default-src 'none'", "connect-src 'self'", "trusted-types 'none'", "base-uri 'none'"]
  ) {
    expect(policy).toContain(rule);
  }
});
