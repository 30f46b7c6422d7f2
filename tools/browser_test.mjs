// Serves the built package and the pages of tests/browser/ on this machine's loopback, opens each page in headless
// Chromium, and prints what it reports: one line a check.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { openChromium } from "./chromium.mjs";
import { bundleExamplePage } from "./example_page.mjs";
import { bunPath, chromiumPath, NO_CHROMIUM, root } from "./runtimes.mjs";

const DEADLINE_MS = 120_000;
const WITH_GPU = ["--enable-unsafe-webgpu", "--disable-gpu-sandbox"];
const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
};

/** Resolves to the checks that the page posts: `[{ name, error }]`. */
function serve() {
  let report;
  const reported = new Promise((resolve) => report = resolve);
  const server = createServer((request, response) => {
    if (request.method === "POST") {
      let body = "";
      request.on("data", (bytes) => body += bytes);
      request.on("end", () => {
        response.end();
        report(JSON.parse(body));
      });
      return;
    }
    const path = normalize(join(root, new URL(request.url, "http://localhost").pathname));
    try {
      if (!path.startsWith(root)) throw new Error("outside the project");
      response.setHeader("Content-Type", TYPES[extname(path)] ?? "application/octet-stream");
      response.end(readFileSync(path));
    } catch {
      response.statusCode = 404;
      response.end();
    }
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve({ server, reported })));
}

const program = chromiumPath();
if (program === undefined || !existsSync(program)) {
  console.error(
    `browser_test: ${program === undefined ? NO_CHROMIUM : `CHROMIUM is ${program}, which is not there`}`,
  );
  process.exit(1);
}
/** What a page of tests/browser/ reports. */
async function checksOf(page) {
  const { server, reported } = await serve();
  const url = `http://127.0.0.1:${server.address().port}/tests/browser/${page}`;
  const chromium = openChromium(program, WITH_GPU, url, "ignore");
  let timer;
  const late = new Promise((resolve) => {
    const error = `no report within ${DEADLINE_MS} ms`;
    timer = setTimeout(resolve, DEADLINE_MS, [{ name: `${page} reports`, error }]);
  });
  const checks = await Promise.race([reported, late]);
  clearTimeout(timer);
  await chromium.close();
  server.close();
  return checks;
}

/** The contract of storages is in TypeScript, as the other runtimes run it. */
function bundleStoragePage() {
  const entries = ["storage_page.ts", "bun_test_in_page.ts"].map((name) =>
    join(root, "tests", "browser", name)
  );
  const options = ["--target=browser", "--external", "bun:test", "--external", "webgpu"];
  const outdir = join(root, "build", "browser");
  execFileSync(bunPath(), ["build", ...entries, ...options, "--outdir", outdir], { stdio: "ignore" });
}

bundleStoragePage();
bundleExamplePage();
const checks = [];
for (const page of ["page.html", "storage.html", "example.html"]) checks.push(...await checksOf(page));

for (const { name, error } of checks) console.log(error ? `FAILED  ${name}: ${error}` : `ok  ${name}`);
const failed = checks.filter(({ error }) => error).length;
console.log(`${checks.length - failed} passed, ${failed} failed`);
process.exit(failed > 0 || checks.length === 0 ? 1 : 0);
