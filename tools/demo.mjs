// `npm run demo [-- --runtime bun|deno|node] [-- options of the demo]`: set-up, then examples/digits in that runtime; with
// `--ranks 4`, examples/parallel.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { build, buildExamples } from "./build.mjs";
import { environment, root, runtimeCommand } from "./runtimes.mjs";
import { setup } from "./setup.mjs";

function takeRuntime(args) {
  const at = args.indexOf("--runtime");
  if (at < 0) return "bun";
  const [, runtime] = args.splice(at, 2);
  if (["bun", "deno", "node"].includes(runtime)) return runtime;
  console.error(`demo: --runtime is ${runtime ?? "missing"}; it has to be bun, deno or node`);
  process.exit(2);
}

const args = process.argv.slice(2);
const runtime = takeRuntime(args);
const example = args.includes("--ranks") ? "parallel" : "digits";
await setup({ mpi: example === "parallel" });
if (runtime === "node") {
  build();
  buildExamples();
}
const script = runtime === "node" ? `build/examples/${example}/demo.js` : `examples/${example}/demo.ts`;
const [program, ...before] = runtimeCommand(runtime);
const { status } = spawnSync(program, [...before, join(root, script), ...args], {
  cwd: root,
  stdio: "inherit",
  env: environment(),
});
process.exit(status ?? 1);
