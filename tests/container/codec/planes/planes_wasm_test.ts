import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "bun:test";

const root = fileURLToPath(new URL("../../../../", import.meta.url));

test("the WebAssembly module in the tree is what wasm/planes.ts compiles to", () => {
  if (!existsSync(new URL("../../../../node_modules/assemblyscript", import.meta.url))) {
    console.log("SKIP planes_wasm: AssemblyScript is not installed");
    return;
  }
  const { status, stderr } = spawnSync("node", ["tools/build_wasm.mjs", "--check"], { cwd: root });
  expect([status, String(stderr)]).toEqual([0, ""]);
}, 600_000);
