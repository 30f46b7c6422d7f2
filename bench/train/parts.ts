import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runtimeCommand } from "../../tests/helpers/child.ts";

/** What `main.ts` runs behind the rows of whole jobs, each a script that says by itself what it measures. */
const PARTS: Readonly<Record<string, string>> = {
  "gradient check": "./gradient_check.ts",
  streams: "../kernels/streams.ts",
  "step costs": "./step_costs.ts",
  encoding: "./encoding.ts",
  attention: "./attention.ts",
  "cold start": "./cold_start.ts",
};

/** The names of parts that contain `wanted`; all where it is empty. */
export function partsNamed(wanted: string): string[] {
  return [...Object.keys(PARTS), "encoding in Node"].filter((name) => name.includes(wanted));
}

/** Runs a part in this runtime, shows its lines, and gives the JSON that is its last one. */
export function runPart(name: string): unknown {
  if (name === "encoding in Node") return encodingInNode();
  return jsonOf(name, runtimeCommand(new URL(PARTS[name] ?? "", import.meta.url)));
}

/** Bundled by Bun, since Node does not know types. */
function encodingInNode(): unknown {
  // Once is enough, and in Bun it is Bun that is at hand.
  if (process.versions.bun === undefined) return { absent: "measured by the bench in Bun" };
  const root = fileURLToPath(new URL("../../", import.meta.url));
  mkdirSync(`${root}build`, { recursive: true });
  const bundle = `${root}build/bench_encoding.mjs`;
  const source = fileURLToPath(new URL("./encoding.ts", import.meta.url));
  const made = spawnSync(process.execPath, [
    "build",
    source,
    "--target=node",
    "--external=webgpu",
    `--outfile=${bundle}`,
  ], { encoding: "utf8" });
  if (made.status !== 0) throw new Error(`cannot bundle ${source}: ${made.stderr}`);
  return jsonOf("encoding in Node", ["node", bundle]);
}

function jsonOf(name: string, [program = "", ...args]: readonly string[]): unknown {
  const { stdout, status } = spawnSync(program, [...args, ...process.argv.slice(2)], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = (stdout ?? "").trim().split("\n");
  const json = lines.findLast((line) => line.startsWith("{"));
  for (const line of lines) if (line !== json) console.log(line);
  if (status !== 0 || json === undefined) throw new Error(`${name} failed`);
  return JSON.parse(json);
}

/** The least of OpenBLAS' speed at a product of 1024 x 1024. */
const OPENBLAS_PART = 0.15;

/**
 * Matmul 1024 beside OpenBLAS on all processors, where it is installed; `CAIRN_OPENBLAS` may say where its library is.
 *
 * @param ms By the clock, of Cairn's.
 */
export function besideOpenBlas(ms: number): unknown {
  const python = ["/usr/bin/python3", "/usr/local/bin/python3"].find((path) => existsSync(path));
  const script = fileURLToPath(new URL("./openblas.py", import.meta.url));
  const library = process.env.CAIRN_OPENBLAS === undefined ? [] : [process.env.CAIRN_OPENBLAS];
  const { stdout } = spawnSync(python ?? "python3", [script, ...library], { encoding: "utf8" });
  const found = JSON.parse(stdout?.trim() || '{"absent":"there is no Python 3"}') as {
    readonly absent?: string;
    readonly ms?: number;
  };
  if (found.ms === undefined) {
    console.log(`matmul 1024 beside OpenBLAS: not available (${found.absent})`);
    return found;
  }
  const ratio = Number((found.ms / ms).toFixed(3));
  const isHeld = ratio >= OPENBLAS_PART;
  console.log(
    `matmul 1024 beside OpenBLAS: ${ratio}x of its speed (${found.ms.toFixed(1)} ms) by the clock | ` +
      `>= ${OPENBLAS_PART}: ${isHeld ? "held" : "MISSED"}`,
  );
  return { ...found, ratio, target: OPENBLAS_PART, isHeld };
}
