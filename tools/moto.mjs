// A real server of S3 for the tests: Debian 13's moto, unpacked beside and not installed, with the machine's Python and
// its Flask.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { canInstall, installMotoDependencies, ownSourceOf } from "./debian.mjs";
import { root } from "./runtimes.mjs";

const SUITE = "trixie";
const PACKAGE = "python3-moto";
const UNPACKED = join(root, "build", "moto");
const MODULES = join(UNPACKED, "usr", "lib", "python3", "dist-packages");
/** What it imports at its start and at its first request. */
const NEEDED = "import moto.server, moto.iam.models, moto.s3.responses";
/** The second is Debian's own, where another one stands before it. */
const PYTHONS = ["python3", "/usr/bin/python3"];

/** What to do where there is none. */
export const NO_MOTO =
  "no server of S3: as root on Debian the set-up fetches one; elsewhere pip install 'moto[s3,server]', or name one in " +
  "CAIRN_S3_ENDPOINT";

const environment = () => ({ ...process.env, PYTHONPATH: MODULES });

/** A Python that has moto. */
function pythonWithMoto() {
  return PYTHONS.find((python) =>
    spawnSync(python, ["-c", NEEDED], { env: environment(), stdio: "ignore" }).status === 0
  );
}

/** Fetches it where that is possible; without a network or the rights for it, the tests that need it are skipped. */
export function installMoto() {
  if (pythonWithMoto() !== undefined || !canInstall()) return;
  console.error("setup: fetching a server of S3 for the tests");
  try {
    installMotoDependencies();
    if (pythonWithMoto() === undefined) unpack();
  } catch (error) {
    console.error(`setup: ${error.message}; ${NO_MOTO}`);
  }
}

/** Its lists and its archive are in a folder of their own: nothing of the machine's changes. */
function unpack() {
  const own = ownSourceOf();
  if (own === undefined) throw new Error("there is no source of Debian's packages here");
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
      "APT::Sandbox::User=root",
      "Acquire::Retries=3",
    ].flatMap((place) => ["-o", place]);
    const apt = (...words) =>
      execFileSync("apt-get", ["-qq", ...places, ...words], { cwd: folder, stdio: "ignore" });
    apt("update");
    apt("download", PACKAGE);
    const archive = readdirSync(folder).find((name) => name.endsWith(".deb"));
    mkdirSync(UNPACKED, { recursive: true });
    execFileSync("dpkg", ["-x", join(folder, archive), UNPACKED], { stdio: "ignore" });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Starts it on this machine, and gives its address and what ends it; `undefined` where it cannot be had. */
export async function startMoto() {
  const python = pythonWithMoto();
  if (python === undefined) return undefined;
  const child = spawn(python, [join(root, "tools", "moto_server.py")], {
    env: environment(),
    stdio: ["pipe", "pipe", "ignore"],
  });
  const port = await new Promise((resolve) => {
    createInterface({ input: child.stdout }).once("line", resolve).once("close", () => resolve(undefined));
    child.once("error", () => resolve(undefined));
  });
  if (port === undefined) return undefined;
  // It ends with this process, and does not keep it from ending.
  for (const each of [child, child.stdin, child.stdout]) each.unref?.();
  return { endpoint: `http://127.0.0.1:${port}`, stop: () => child.kill() };
}
