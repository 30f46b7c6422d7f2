// Brings a machine that has only Node to the point where everything here runs. Plain Node, no dependency; the second
// run only looks. `node tools/setup.mjs [--browser]`
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { canInstall, installChromium, installMpi, installPython, installSoftwareVulkan } from "./debian.mjs";
import { installMoto } from "./moto.mjs";
import { chromiumPath, environment, NO_CHROMIUM, root, runtimeCommand } from "./runtimes.mjs";

const RUNTIMES = ["bun", "deno", "node"];
const INSTALL_BY_HAND = `Install a Vulkan driver for your GPU, or a software one:
  Debian 12      apt install -t bookworm-backports mesa-vulkan-drivers   (Bun and Node need Mesa 24 or newer)
  Debian 13+, Ubuntu 24.10+   apt install mesa-vulkan-drivers
  Fedora         dnf install mesa-vulkan-drivers
  Arch           pacman -S vulkan-swrast`;

/** Everything that a run needs, or an error that says what to install. */
export async function setup({ browser = false, python = false, s3 = false, mpi = false } = {}) {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 16)) {
    fail(`Node ${process.versions.node} is too old: Cairn needs 20.16 or newer`);
  }
  installPackages();
  // Where there is no GPU and no software one, tests that need it are skipped, counted and printed.
  if (process.env.CAIRN_SETUP_WITHOUT_GPU !== "1") await ensureAdapters();
  if (browser) ensureChromium();
  if (python) findPython();
  // Where there is no server of S3, tests that need it are skipped, counted and printed, too.
  if (s3) installMoto();
  if (mpi) findMpi();
}

function fail(message) {
  console.error(`setup: ${message}`);
  process.exit(1);
}

function installPackages() {
  const lock = createHash("sha256").update(readFileSync(join(root, "package-lock.json"))).digest("hex");
  const stamp = join(root, "node_modules", ".cairn-setup");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  console.error("setup: npm ci");
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const { status } = spawnSync(npm, ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: "inherit",
  });
  if (status !== 0) fail("npm ci failed; its own message is above");
  writeFileSync(stamp, lock);
}

async function ensureAdapters() {
  let missing = await runtimesWithoutAdapter();
  if (missing.length > 0 && canInstall()) {
    console.error(`setup: no WebGPU adapter in ${names(missing)}; installing Debian's software Vulkan`);
    try {
      installSoftwareVulkan();
    } catch (error) {
      fail(`the installation failed (${error.message})\n${INSTALL_BY_HAND}`);
    }
    missing = await runtimesWithoutAdapter();
  }
  if (missing.length > 0) fail(`no WebGPU adapter in ${names(missing)}\n${INSTALL_BY_HAND}`);
}

const names = (missing) => missing.map(({ runtime, why }) => `${runtime} (${why})`).join(", ");

async function runtimesWithoutAdapter() {
  const answers = await Promise.all(
    RUNTIMES.map(async (runtime) => ({ runtime, ...(await probe(runtime)) })),
  );
  return answers.filter(({ adapter }) => !adapter).map(({ runtime, error }) => ({
    runtime,
    why: error ?? "none found",
  }));
}

/** What tools/probe_adapter.mjs prints in `runtime`. */
function probe(runtime) {
  return new Promise((resolve) => {
    const [program, ...args] = runtimeCommand(runtime);
    const child = spawn(program, [...args, join(root, "tools", "probe_adapter.mjs")], {
      cwd: root,
      env: environment(),
    });
    let output = "";
    child.stdout.on("data", (bytes) => output += bytes);
    child.on("error", (error) => resolve({ adapter: null, error: error.message }));
    child.on("close", () => {
      try {
        resolve(JSON.parse(output.trim().split("\n").at(-1)));
      } catch {
        resolve({ adapter: null, error: "the probe did not answer" });
      }
    });
  });
}

/** The tests that run Python skip, count and print where there is none. */
function findPython() {
  if (spawnSync("python3", ["--version"], { stdio: "ignore" }).status === 0 || !canInstall()) return;
  console.error("setup: installing Debian's Python");
  installPython();
}

/** The tests that need an MPI skip, count and print where one is not there. */
export function findMpi() {
  const isThere = (launcher) => spawnSync(launcher, ["--version"], { stdio: "ignore" }).status === 0;
  if (["mpiexec.mpich", "mpiexec.openmpi"].every(isThere) || !canInstall()) return;
  console.error("setup: installing Debian's MPICH and Open MPI");
  installMpi();
}

function ensureChromium() {
  if (chromiumPath()) return;
  if (!canInstall()) fail(NO_CHROMIUM);
  console.error("setup: installing Debian's Chromium");
  installChromium();
}

if (process.argv[1] === join(root, "tools", "setup.mjs")) {
  await setup({ browser: process.argv.includes("--browser") });
}
