// A real server of S3 for the tests: Debian 13's moto, unpacked beside and not installed, with the machine's Python.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canInstall, ownSourceOf } from "./debian.mjs";
import { root } from "./runtimes.mjs";

const SUITE = "trixie";
const PACKAGE = "python3-moto";
const MODULES = join(root, "build", "moto", "usr", "lib", "python3", "dist-packages");
const START_MS = 60_000;

function canRun() {
  const probe = ["-c", "import moto.server"];
  return spawnSync("python3", probe, { env: { ...process.env, PYTHONPATH: MODULES }, stdio: "ignore" })
    .status === 0;
}

/** Fetches it where that is possible. Its lists and its archive are its own; nothing of the machine's changes. */
function unpack() {
  const own = canInstall() ? ownSourceOf() : undefined;
  if (own === undefined) return;
  const folder = mkdtempSync(join(tmpdir(), "cairn-moto-"));
  try {
    const [parts, lists, cache] = ["parts", "lists", "cache"].map((name) => join(folder, name));
    for (const each of [parts, join(lists, "partial"), join(cache, "archives", "partial")]) {
      mkdirSync(each, { recursive: true });
    }
    const signed = own.signedBy ? `[signed-by=${own.signedBy}] ` : "";
    writeFileSync(join(parts, "moto.list"), `deb ${signed}${own.uri} ${SUITE} main\n`);
    const places = [
      "Dir::Etc::sourcelist=/dev/null",
      `Dir::Etc::sourceparts=${parts}`,
      `Dir::State::lists=${lists}`,
      `Dir::Cache=${cache}`,
      "Acquire::Retries=3",
    ].flatMap((place) => ["-o", place]);
    const apt = (...words) =>
      execFileSync("apt-get", ["-qq", ...places, ...words], { cwd: folder, stdio: "ignore" });
    apt("update");
    apt("download", PACKAGE);
    const archive = readdirSync(folder).find((name) => name.endsWith(".deb"));
    execFileSync("dpkg", ["-x", join(folder, archive), join(root, "build", "moto")], { stdio: "ignore" });
  } catch {
    // Without a network the row is skipped, and says so.
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A port that nobody has. */
function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Starts it on this machine, and gives its address and what ends it; `undefined` where it cannot be had. */
export async function startMoto() {
  if (!existsSync(MODULES)) unpack();
  if (!canRun()) return undefined;
  const port = await freePort();
  const child = spawn("python3", ["-m", "moto.server", "-H", "127.0.0.1", "-p", String(port)], {
    env: { ...process.env, PYTHONPATH: MODULES },
    stdio: "ignore",
  });
  const endpoint = `http://127.0.0.1:${port}`;
  const until = Date.now() + START_MS;
  while (Date.now() < until && child.exitCode === null) {
    const isUp = await fetch(endpoint).then((answer) => answer.arrayBuffer()).then(() => true, () => false);
    if (isUp) return { endpoint, stop: () => child.kill() };
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  child.kill();
  return undefined;
}
