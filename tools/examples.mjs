// `npm run examples [-- names … --runtime bun|deno --quick --long --bf16]`: every example in full, in Bun and then in
// Deno. Those that train for long are trained once with kills and once without, which has to give the same bits; the
// others hold the result that they state at their top. With `--quick` each runs once, for a few steps, in one runtime.
// `--long` and `--bf16` (activations in 16 bits) are for those that have it.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { environment, root, runtimeCommand } from "./runtimes.mjs";
import { setup } from "./setup.mjs";

const folder = join(root, "examples");
// `npm run demo` has the example digits; tests run custom_loop with kills as well.
/** Those that are killed and compared. */
const killed = ["digits_cnn", "language", "finetune", "timeseries", "gan", "autoencoder", "two_inputs"];
/** Those that end with status 0 when their result is what they state. */
const short = {
  iris: "train.ts",
  regression: "train.ts",
  resume: "interrupt.ts",
  custom_loop: "train.ts",
  convert: "convert.ts",
  save_load_bench: "bench.ts",
};
const all = [...Object.keys(short), ...killed];

const { values: options, positionals } = parseArgs({
  options: {
    runtime: { type: "string", multiple: true },
    quick: { type: "boolean", default: false },
    long: { type: "boolean", default: false },
    bf16: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
const runtimes = options.runtime ?? (options.quick ? ["bun"] : ["bun", "deno"]);
const names = positionals.length > 0 ? positionals : all;
const precision = options.bf16 ? ["--bf16"] : [];
const unknown = [
  ...names.filter((name) => !all.includes(name)),
  ...runtimes.filter((runtime) => !["bun", "deno"].includes(runtime)),
];
if (unknown.length > 0) {
  console.error(
    `examples: no ${unknown.join(", ")}; there are ${all.join(", ")}, and the runtimes bun and deno`,
  );
  process.exit(2);
}

/** Runs a script with its output shown, and resolves to its exit status and that output. */
function run(runtime, script, args) {
  const [program, ...before] = runtimeCommand(runtime);
  return new Promise((resolve) => {
    const child = spawn(program, [...before, join(folder, script), ...args], {
      cwd: root,
      env: environment(),
    });
    let output = "";
    for (const [stream, out] of [[child.stdout, process.stdout], [child.stderr, process.stderr]]) {
      stream.on("data", (bytes) => {
        output += bytes;
        out.write(bytes);
      });
    }
    child.on("error", (error) => resolve({ status: 1, output: String(error) }));
    child.on("close", (status) => resolve({ status: status ?? 1, output }));
  });
}

/** Whether the example does what it says. */
async function proves(runtime, name) {
  if (name in short) return await runShort(runtime, name);
  const given = [...options.long ? ["--long"] : [], ...precision];
  if (!options.quick) return await run(runtime, join("kills", "prove.ts"), [name, ...given]);
  const directory = mkdtempSync(join(tmpdir(), `cairn-${name}-`));
  try {
    return await run(runtime, join(name, "train.ts"), ["--quick", ...precision, directory]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function runShort(runtime, name) {
  const directory = mkdtempSync(join(tmpdir(), `cairn-${name}-`));
  const quick = options.quick ? ["--quick"] : [];
  /** Of those that save into a directory, or take less time for less. */
  const args = { custom_loop: [...precision, directory], save_load_bench: [...quick, directory] }[name] ?? [];
  try {
    return await run(runtime, join(name, short[name]), args);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

await setup();
const rows = [];
const tally = { passed: 0, failed: 0 };
for (const runtime of runtimes) {
  for (const name of names) {
    console.log(`\n== ${name}, ${runtime}`);
    const start = performance.now();
    const { status, output } = await proves(runtime, name);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    const isWithoutGpu = status !== 0 && /no_webgpu|no_adapter/.test(output);
    if (isWithoutGpu) console.log(`SKIP gpu: the example ${name} in ${runtime} (no adapter)`);
    else if (status === 0) tally.passed++;
    else tally.failed++;
    rows.push(
      `${name.padEnd(16)} ${runtime.padEnd(5)} ${seconds.padStart(8)} s${status === 0 ? "" : "  FAILED"}`,
    );
  }
}
console.log(`\n${rows.join("\n")}`);
console.log(`${tally.passed} passed, ${tally.failed} failed`);
process.exit(tally.failed > 0 ? 1 : 0);
