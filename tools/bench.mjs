// `npm run bench -- codec`: runs bench/codec/main.ts in Bun and then in Deno. `npm run bench` says which there are.
// `--gpu` for the bench of the GPU's own code: `npm run bench -- codec --gpu` is bench/codec/gpu.ts. `--bun` or
// `--deno` for one runtime only; everything else goes to the bench itself. A bench of the GPU that has to hold for
// each provider runs once more in Deno, with Dawn, unless `--provider=` says which. Those of the built package build it
// first.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { build } from "./build.mjs";
import { environment, root, runtimeCommand } from "./runtimes.mjs";

const [name = "", ...options] = process.argv.slice(2);
const file = options.includes("--gpu") ? "gpu.ts" : "main.ts";
const script = join(root, "bench", name, file);
if (name === "" || !existsSync(script)) {
  const names = readdirSync(join(root, "bench")).filter((each) =>
    existsSync(join(root, "bench", each, "main.ts"))
  );
  console.error(
    `bench: ${name === "" ? "say which" : `there is no ${name}/${file}`}; there are ${names.join(", ")}`,
  );
  process.exit(2);
}

const EACH_PROVIDER = ["checkpoint/main.ts", "codec/gpu.ts"];
const isForEach = EACH_PROVIDER.includes(`${name}/${file}`) &&
  !options.some((option) => option.startsWith("--provider="));
// These measure all runtimes, or none.
const isOnce = ["bundle", "import"].includes(name);
const both = [["bun"], ["deno"], ...isForEach ? [["deno", "--provider=dawn"]] : []];
const runs = isOnce ? [["bun"]] : both;
if (isOnce) build();
const chosen = ["bun", "deno"].filter((runtime) => options.includes(`--${runtime}`));
const forBench = options.filter((option) => !["--bun", "--deno", "--gpu"].includes(option));
let failed = false;
for (const [runtime, ...extra] of runs) {
  if (chosen.length > 0 && !chosen.includes(runtime)) continue;
  const [program, ...before] = runtimeCommand(runtime);
  const { status } = spawnSync(program, [...before, script, ...extra, ...forBench], {
    cwd: root,
    env: environment(),
    stdio: "inherit",
  });
  failed ||= status !== 0;
}
process.exit(failed ? 1 : 0);
