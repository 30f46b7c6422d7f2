// Serves the built package and tests/browser/page.html on this machine's loopback, opens the page in headless Chromium,
// and prints what the page reports: one line a check.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { chromiumPath, environment, NO_CHROMIUM, root } from "./runtimes.mjs";

const DEADLINE_MS = 120_000;
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

function openChromium(program, url, profile) {
  const flags = [
    "--headless=new",
    "--no-sandbox",
    "--enable-unsafe-webgpu",
    "--disable-gpu-sandbox",
    "--no-first-run",
  ];
  return spawn(program, [...flags, `--user-data-dir=${profile}`, url], {
    stdio: "ignore",
    env: environment(),
  });
}

const program = chromiumPath();
if (program === undefined || !existsSync(program)) {
  console.error(
    `browser_test: ${program === undefined ? NO_CHROMIUM : `CHROMIUM is ${program}, which is not there`}`,
  );
  process.exit(1);
}
const { server, reported } = await serve();
const profile = mkdtempSync(join(tmpdir(), "cairn-chromium-"));
const chromium = openChromium(
  program,
  `http://127.0.0.1:${server.address().port}/tests/browser/page.html`,
  profile,
);
const closed = new Promise((resolve) => chromium.on("close", resolve));
const late = new Promise((resolve) =>
  setTimeout(resolve, DEADLINE_MS, [{
    name: "the page reports",
    error: `no report within ${DEADLINE_MS} ms`,
  }])
);
const checks = await Promise.race([reported, late]);
chromium.kill("SIGTERM");
await closed;
server.close();
rmSync(profile, { recursive: true, force: true, maxRetries: 5 });

for (const { name, error } of checks) console.log(error ? `FAILED  ${name}: ${error}` : `ok  ${name}`);
const failed = checks.filter(({ error }) => error).length;
console.log(`${checks.length - failed} passed, ${failed} failed`);
process.exit(failed > 0 || checks.length === 0 ? 1 : 0);
