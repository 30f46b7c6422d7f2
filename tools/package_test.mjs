// Packs the package as it would be published, has publint look at the tarball, installs it in an empty project, has
// compilers check the types of every door, and runs every TypeScript block of the README there under Bun, Deno and
// Node. Then each of them reads the golden files and writes them again, starts the command `cairn`, and saves to a real
// server of S3.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NO_MOTO, startMoto } from "./moto.mjs";
import { denoPath, environment, root, runtimeCommand } from "./runtimes.mjs";

const tally = { passed: 0, failed: 0 };
const project = mkdtempSync(join(tmpdir(), "cairn-package-"));

function check(name, program, args, cwd) {
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd,
    env: environment(),
    encoding: "utf8",
    timeout: 900_000,
  });
  const holds = status === 0;
  console.log(`${holds ? "ok" : "FAILED"}  ${name}`);
  if (!holds) console.log(stdout + stderr);
  tally[holds ? "passed" : "failed"]++;
  return { holds, stdout };
}

/** The TypeScript blocks of the README. They are valid JavaScript too, so that Node runs the same text. */
function readmeBlocks() {
  const text = readFileSync(join(root, "README.md"), "utf8");
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code]) => code);
}

/** Reads the golden files in the folder it is given, and compares bytes where every runtime has to make the same. */
const GOLDEN = `
import * as container from "@cairn-ml/cairn/container";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import process from "node:process";
import { pathToFileURL } from "node:url";
const folder = pathToFileURL(process.argv[2] + "/");
const { rewritten } = await import(new URL("rewritten.js", folder));
for (const golden of JSON.parse(readFileSync(new URL("golden.json", folder), "utf8"))) {
  const bytes = new Uint8Array(readFileSync(new URL(golden.file, folder)));
  const isCompared = golden.rewrites === "everywhere";
  const again = await rewritten(container, bytes, isCompared ? golden : { ...golden, codec: "planes" });
  if (isCompared && Buffer.compare(again, bytes) !== 0) throw new Error(golden.file + " is written again with other bytes");
}
`;

/** The contract of engines in a bucket of the server in the environment; then a run that the command is to look at. */
const BUCKET = `
import { engineConformance, FileEngine } from "@cairn-ml/cairn/engine";
import process from "node:process";
const location = process.argv[2];
let places = 0;
const engines = new WeakMap();
const open = async (place) => {
  const engine = await FileEngine.open(place);
  engines.set(engine, place);
  return engine;
};
const checks = engineConformance({
  open: () => open(location + "/checks/" + places++),
  reopen: (engine) => open(engines.get(engine)),
});
for (const { name, run } of checks) await run().catch((cause) => { throw new Error(name, { cause }); });
const engine = await open(location + "/run");
await engine.create(1);
await engine.save({ state: { weights: Float32Array.of(1, 2, 3) } });
await engine.commit(1);
console.log(checks.length + " checks");
`;

function installTarball() {
  const packed = check("npm pack", "npm", ["pack", "--silent", "--pack-destination", project], root);
  if (!packed.holds) return false;
  const tarball = join(project, packed.stdout.trim().split("\n").at(-1));
  const publint = join(root, "node_modules", "publint", "src", "cli.js");
  check("publint of the tarball", process.execPath, [publint, "run", tarball, "--strict"], project);
  writeFileSync(join(project, "package.json"), `{ "name": "consumer", "private": true, "type": "module" }\n`);
  const options = [
    "--silent",
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    "--omit=peer",
    "--omit=optional",
  ];
  if (!check("npm install of the tarball", "npm", ["install", ...options, tarball], project).holds) {
    return false;
  }
  symlinkSync(join(root, "node_modules", "webgpu"), join(project, "node_modules", "webgpu")); // 132 MB: not fetched again
  return true;
}

/** Compiles a module that imports every door, once for each way in which compilers look for one. */
function checkTypes() {
  const { name, exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const doors = Object.keys(exports).filter((door) => door !== "./package.json");
  const imports = doors.map((door, index) => `import * as door${index} from "${name}${door.slice(1)}";`);
  const uses = `console.log(${doors.map((_, index) => `door${index}`).join(", ")});`;
  writeFileSync(join(project, "doors.ts"), [...imports, uses, ""].join("\n"));
  for (const [compiler, ...only] of [["typescript", "--ignoreConfig"], ["typescript-5"]]) {
    const { version } = JSON.parse(
      readFileSync(join(root, "node_modules", compiler, "package.json"), "utf8"),
    );
    for (const [module, moduleResolution] of [["nodenext", "nodenext"], ["esnext", "bundler"]]) {
      // The package's own types are checked too, with the libraries that compilers take for this target.
      const checks = ["--strict", "--exactOptionalPropertyTypes", "--skipLibCheck", "false"];
      const looks = ["--target", "es2022", "--module", module, "--moduleResolution", moduleResolution];
      check(
        `types of every door under ${moduleResolution}, TypeScript ${version}`,
        process.execPath,
        [
          join(root, "node_modules", compiler, "bin", "tsc"),
          ...only,
          "--noEmit",
          ...checks,
          ...looks,
          "doors.ts",
        ],
        project,
      );
    }
  }
  check("types of every door under deno check", denoPath(), ["check", "--quiet", "doors.ts"], project);
}

/** A Node that is too old says so, in words, whatever is imported. */
function checkOldNode() {
  for (const entry of ["", "/container", "/nn", "/engine"]) {
    const code = `process.getBuiltinModule = undefined;
      const error = await import("@cairn-ml/cairn${entry}").then(() => "nothing", String);
      if (!/needs Node 20\\.16 or newer.*, found \\d/.test(error)) throw new Error("it says " + error);`;
    const args = ["--input-type=module", "--eval", code];
    check(`@cairn-ml/cairn${entry} in a Node without getBuiltinModule`, process.execPath, args, project);
  }
}

/** What the README says of Deno's permissions: to read here and to write where checkpoints are is all that it takes. */
function checkDenoPermissions() {
  rmSync(join(project, "checkpoints"), { recursive: true, force: true });
  const args = ["run", "--no-prompt", "--quiet", "--allow-read=.", "--allow-write=checkpoints"];
  check("README block 1 under deno with few permissions", denoPath(), [...args, "readme_1.mjs"], project);
  check("README block 1 once more, which resumes", denoPath(), [...args, "readme_1.mjs"], project);
}

/** The command as npm links it, and as each runtime starts its file. */
function checkCommand() {
  const folder = join(root, "tests", "golden");
  const file = join(folder, "v1_planes_f32.cairn");
  const inspect = ["cairn", "inspect", file, "--stats", "--json"];
  const { holds, stdout } = check("npx cairn inspect", "npx", ["--no-install", ...inspect], project);
  if (holds && JSON.parse(stdout).format !== "cairn") {
    tally.failed++;
    console.log(`FAILED  npx cairn inspect says\n${stdout}`);
  }
  const calls = [
    ["verify", folder],
    ["ls", join(folder, "trainer")],
    ["prune", join(folder, "trainer"), "--keep", "last=1"],
    ["diff", file, file],
    ["convert", file, join(project, "converted.npz"), "--overwrite"],
    ["bench", "--check"],
  ];
  for (const runtime of ["bun", "deno", "node"]) {
    const [program, ...before] = runtimeCommand(runtime);
    const command = join("node_modules", "@cairn-ml", "cairn", "dist", "bundle", "cli.js");
    for (const call of calls) {
      check(`cairn ${call[0]} under ${runtime}`, program, [...before, command, ...call], project);
    }
  }
}

/** Every runtime on a real server, with the environment that a user sets. */
async function checkBucket() {
  const server = await startMoto();
  if (server === undefined) {
    for (const runtime of ["bun", "deno", "node"]) {
      console.log(`SKIP s3: a bucket under ${runtime} (${NO_MOTO})`);
    }
    return;
  }
  Object.assign(process.env, {
    AWS_ACCESS_KEY_ID: "a-key-of-the-tests",
    AWS_SECRET_ACCESS_KEY: "a-secret-of-the-tests",
    AWS_ENDPOINT_URL_S3: server.endpoint,
  });
  await (await fetch(`${server.endpoint}/bucket`, { method: "PUT" })).arrayBuffer();
  writeFileSync(join(project, "bucket.mjs"), BUCKET);
  const command = join("node_modules", "@cairn-ml", "cairn", "dist", "bundle", "cli.js");
  for (const runtime of ["bun", "deno", "node"]) {
    const [program, ...before] = runtimeCommand(runtime);
    const location = `s3://bucket/${runtime}`;
    check(`engines in a bucket under ${runtime}`, program, [...before, "bucket.mjs", location], project);
    for (const verb of ["ls", "inspect", "verify"]) {
      const args = [...before, command, verb, `${location}/run`];
      check(`cairn ${verb} of a bucket under ${runtime}`, program, args, project);
    }
  }
  server.stop();
}

try {
  const blocks = readmeBlocks();
  if (blocks.length === 0) throw new Error("README.md has no ```ts block to run");
  if (installTarball()) {
    checkTypes();
    checkCommand();
    for (const [index, code] of blocks.entries()) {
      writeFileSync(join(project, `readme_${index + 1}.mjs`), code);
      for (const runtime of ["bun", "deno", "node"]) {
        rmSync(join(project, "checkpoints"), { recursive: true, force: true });
        const [program, ...before] = runtimeCommand(runtime);
        check(
          `README block ${index + 1} under ${runtime}`,
          program,
          [...before, `readme_${index + 1}.mjs`],
          project,
        );
      }
    }
    checkDenoPermissions();
    checkOldNode();
    await checkBucket();
    writeFileSync(join(project, "golden.mjs"), GOLDEN);
    for (const runtime of ["bun", "deno", "node"]) {
      const [program, ...before] = runtimeCommand(runtime);
      const folder = join(root, "tests", "golden");
      check(`the golden files under ${runtime}`, program, [...before, "golden.mjs", folder], project);
    }
  }
} finally {
  rmSync(project, { recursive: true, force: true });
}
console.log(`${tally.passed} passed, ${tally.failed} failed`);
process.exit(tally.failed > 0 ? 1 : 0);
