// `npm run example:browser`: bundles examples/browser for a page, serves it on this machine's loopback, and prints its
// address. Ctrl-C ends it.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { bunPath, root } from "./runtimes.mjs";

const FILES = {
  "/": ["examples/browser/index.html", "text/html"],
  "/build/browser/page.js": ["build/browser/page.js", "text/javascript"],
};

/** Makes build/browser/page.js, which has Cairn in it. */
export function bundleExamplePage() {
  const options = ["--target=browser", "--external", "webgpu", "--outdir", join(root, "build", "browser")];
  execFileSync(bunPath(), ["build", join(root, "examples", "browser", "page.ts"), ...options], {
    stdio: ["ignore", "ignore", "inherit"],
  });
}

if (process.argv[1] === join(root, "tools", "example_page.mjs")) {
  bundleExamplePage();
  const server = createServer((request, response) => {
    const [path, type] = FILES[new URL(request.url, "http://localhost").pathname] ?? [];
    if (path === undefined) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": type }).end(readFileSync(join(root, path)));
  });
  server.listen(8035, "127.0.0.1", () => console.log("http://127.0.0.1:8035/ trains; Ctrl-C ends it"));
}
