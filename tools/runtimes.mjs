// Where the runtimes are. Bun and Deno come as devDependencies; their binaries lie in platform packages, or where an
// install script moved them, so both places are searched and nothing depends on install scripts having run.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const modules = join(root, "node_modules");

/**
 * The first of `paths` that is a real binary, not the small text that stands in for one before an install script ran.
 */
function firstBinary(paths) {
  return paths.find((path) => existsSync(path) && statSync(path).size > 1_000_000);
}

function platformPackages(scope) {
  const folder = join(modules, scope);
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
}

export function bunPath() {
  const packages = platformPackages("@oven").flatMap((
    p,
  ) => [join(p, "bin", "bun"), join(p, "bin", "bun.exe")]);
  return firstBinary([
    ...packages,
    join(modules, "bun", "bin", "bun.exe"),
    join(modules, "bun", "bin", "bun"),
  ]);
}

export function denoPath() {
  const packages = platformPackages("@deno").flatMap((p) => [join(p, "deno"), join(p, "deno.exe")]);
  return firstBinary([...packages, join(modules, "deno", "deno"), join(modules, "deno", "deno.exe")]);
}

/** What to do where {@link chromiumPath} finds none. */
export const NO_CHROMIUM =
  "no Chromium for the browser test: install the package chromium, or set CHROMIUM to its path";

export function chromiumPath() {
  const known = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  return process.env.CHROMIUM ?? known.find((path) => existsSync(path));
}

/** The command that runs a script in `runtime`: [program, ...arguments before the script]. */
export function runtimeCommand(runtime) {
  const bun = bunPath();
  const deno = denoPath();
  if (runtime === "bun" && bun) return [bun];
  if (runtime === "deno" && deno) return [deno, "run", "-A", "--no-check", "--quiet"];
  if (runtime === "node") return [process.execPath];
  throw new Error(`No ${runtime} in node_modules: run "npm ci" without --omit=dev and --omit=optional`);
}

/** The environment for child processes: quiet, and with the runtime folder that Vulkan's loader asks for. */
export function environment(extra = {}) {
  return {
    ...process.env,
    XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? "/tmp",
    DENO_NO_UPDATE_CHECK: "1",
    NO_UPDATE_NOTIFIER: "1",
    ...extra,
  };
}

export function tsc(args) {
  const compiler = join(modules, "typescript", "bin", "tsc");
  execFileSync(process.execPath, [compiler, ...args], { cwd: root, stdio: "inherit", env: environment() });
}
