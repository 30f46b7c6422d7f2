import { spawnSync } from "node:child_process";

const LOOK =
  "import importlib.util, sys; sys.exit(any(importlib.util.find_spec(m) is None for m in sys.argv[1:]))";

/** The first Python here that has all of these modules. Tests against them say so where there is none, and pass. */
export function pythonWith(...modules: string[]): string | undefined {
  for (const program of [process.env["CAIRN_PYTHON"], "/usr/bin/python3", "python3"]) {
    if (program === undefined) continue;
    // Looked for and not imported, which takes PyTorch seconds.
    const { status } = spawnSync(program, ["-c", LOOK, ...modules], { stdio: "ignore" });
    if (status === 0) return program;
  }
  console.log(`absent: no python3 with ${modules.join(" and ")} here, so nothing was compared with it`);
  return undefined;
}

/** Runs Python and gives back what it printed; its own message when it fails. */
export function runPython(python: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(python, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`Python failed: ${stderr}`);
  return stdout;
}
