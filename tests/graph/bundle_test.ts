import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "bun:test";
import { bunPath } from "../../tools/runtimes.mjs";
import { KNOWN_OPS } from "./ops/op_twins.ts";

const src = fileURLToPath(new URL("../../src/", import.meta.url));

/** The ops whose definitions are in the bundle of a script that exports from files of src. */
function bundledOps(names: Readonly<Record<string, string>>): string[] {
  const directory = mkdtempSync(join(tmpdir(), "cairn-bundle-"));
  try {
    const entry = join(directory, "entry.ts");
    const lines = Object.entries(names).map(([name, file]) =>
      `export ${name} from ${JSON.stringify(join(src, file))};\n`
    );
    writeFileSync(entry, lines.join(""));
    const { status, stdout, stderr } = spawnSync(bunPath() ?? "bun", ["build", entry, "--target=browser"], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`bun build ended with ${status}: ${stderr}`);
    return KNOWN_OPS.filter((op) => stdout.includes(`name: "${op}"`)).sort();
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const RUN = { "{ Executable }": "graph/executable.ts", "{ gradients }": "graph/autodiff.ts" };

const EVERY_PROGRAM = [
  ...["input", "parameter", "constant", "number", "reshape", "broadcastTo", "sum"],
  ...["add", "sub", "mul", "div", "neg", "square", "reciprocal"],
];

describe("the bundle of a script", () => {
  test("contains only the ops that it uses, and those that every program and its gradients may need", () => {
    const ops = bundledOps({ ...RUN, "{ linear }": "nn/layers/linear.ts" });
    // matmul takes batches and reads transposes in place, and a weight begins with random numbers.
    const products = ["matmul", "batchedMatmul", "transpose"];
    expect(ops).toEqual([...EVERY_PROGRAM, ...products, "randomNormal", "randomUniform"].sort());
  });

  test("has the family of an op that it uses, and no other", () => {
    const ops = bundledOps({ ...RUN, "{ tanh }": "graph/ops/transcendental.ts" });
    const family = ["exp", "log", "sqrt", "rsqrt", "tanh", "sigmoid", "sin", "cos"];
    expect(ops).toEqual([...EVERY_PROGRAM, ...family].sort());
  });

  test("has every op where it exports every op", () => {
    expect(bundledOps({ ...RUN, "* as ops": "graph/ops.ts" })).toEqual([...KNOWN_OPS].sort());
  });
});
