// Compiles mod.ts and src/ with its doors to dist/ with plain tsc, and the examples to build/ so that Node can run
// them. dist/ has the modules one by one, with their types, for bundlers: these leave out what is not used module by
// module. What runtimes load is in dist/bundle (tools/bundle.mjs).
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { bundle } from "./bundle.mjs";
import { root, tsc } from "./runtimes.mjs";

export function build() {
  rmSync(join(root, "dist"), { recursive: true, force: true });
  tsc(["-p", "tsconfig.build.json"]);
  nameLibraries(join(root, "dist"));
  bundle();
}

/** Of WebGPU, what the published types name. All of them are interfaces. */
const GPU_NAMES = [
  ...["GPU", "GPUAdapter", "GPUAdapterInfo", "GPUBindGroup", "GPUBuffer", "GPUBufferDescriptor"],
  ...["GPUCommandBuffer", "GPUCommandEncoder", "GPUComputePipeline", "GPUDevice", "GPUError"],
  ...["GPUSupportedFeatures", "GPUSupportedLimits"],
];
const GPU_TYPES = "gpu_names.d.ts";

/**
 * Types say which libraries they need, so that they can be read for any target: one of the language for
 * `Symbol.asyncDispose`, and one of ours for WebGPU, which compilers before TypeScript 6 do not know. Where a compiler or
 * the package @webgpu/types has these interfaces, ours add nothing to them. The sources cannot say so: JSR takes no
 * references to libraries.
 */
function nameLibraries(folder) {
  const names = GPU_NAMES.map((name) => `interface ${name} {}\n`).join("");
  const usesGpu = new RegExp(`\\b(?:${GPU_NAMES.join("|")})\\b`);
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".d.ts")) continue;
    const text = readFileSync(join(folder, name), "utf8");
    const path = relative(dirname(join(folder, name)), join(folder, GPU_TYPES)).replaceAll("\\", "/");
    const references = [
      ...text.includes("Symbol.asyncDispose") ? ['lib="esnext.disposable"'] : [],
      ...usesGpu.test(text) ? [`path="${path.startsWith(".") ? path : `./${path}`}"`] : [],
    ];
    const lines = references.map((reference) => `/// <reference ${reference} />\n`);
    if (lines.length > 0) writeFileSync(join(folder, name), lines.join("") + text);
  }
  writeFileSync(join(folder, GPU_TYPES), names);
}

/** The examples import the package by its name, which Node resolves to dist/. */
export function buildExamples() {
  rmSync(join(root, "build"), { recursive: true, force: true });
  tsc(["-p", "tsconfig.examples.json"]);
}

if (process.argv[1] === join(root, "tools", "build.mjs")) {
  build();
  buildExamples();
}
