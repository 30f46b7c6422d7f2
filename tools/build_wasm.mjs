// Compiles wasm/planes.ts with AssemblyScript and writes the module, as base64, to
// src/container/codec/planes/planes_wasm.ts. The same source and the same compiler give the same bytes: `--check`
// says whether the tree has them.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const target = join(root, "src", "container", "codec", "planes", "planes_wasm.ts");

const options = "--runtime stub --noAssert -O3 --enable simd --use abort= --initialMemory 1".split(" ");
let module;
const { error, stderr } = await asc.main(["wasm/planes.ts", "--outFile", "planes.wasm", ...options], {
  readFile: (name) => {
    try {
      return readFileSync(join(root, name), "utf8");
    } catch {
      return null;
    }
  },
  writeFile: (_, contents) => {
    module = contents;
  },
  listFiles: () => [],
});
if (error) throw new Error(`AssemblyScript: ${error.message}\n${stderr.toString()}`);

// Added up and not joined: a bundler makes one text of it.
const lines = Buffer.from(module).toString("base64").match(/.{1,100}/g);
const text = `// Made by \`node tools/build_wasm.mjs\` from wasm/planes.ts. Do not edit.

/** The compiled inner loops of the codec \`planes\`, in base64. */
export const PLANES_WASM: string =
  ${lines.map((line) => `"${line}"`).join(" +\n  ")};
`;
if (process.argv.includes("--check")) {
  if (readFileSync(target, "utf8") !== text) {
    throw new Error(`${target} is not what wasm/planes.ts compiles to`);
  }
} else {
  writeFileSync(target, text);
}
console.log(`planes.wasm: ${module.byteLength} bytes`);
