import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runtimeCommand } from "../../tools/runtimes.mjs";
import { launcherOf } from "../../src/mpi/launcher.ts";
import { constantsOf } from "../../src/mpi/library_kind.ts";
import { type ChildEnd, hasProgram, runChild } from "../helpers/child.ts";
import { NodePrograms } from "./mpi_runs.ts";

const PROGRAM = new URL("stub_program.ts", import.meta.url);
const SOURCE = fileURLToPath(new URL("abi_stub.c", import.meta.url));
const isDeno = process.versions.deno !== undefined;
const compiler = ["cc", "gcc", "clang"].find(hasProgram);
const programs = new NodePrograms();
let folder = "";
let stub = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "cairn-mpi-stub-"));
  if (compiler === undefined) return;
  stub = join(folder, "libmpi_stub.so");
  const { status, stderr } = spawnSync(compiler, ["-shared", "-fPIC", "-O1", "-o", stub, SOURCE], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
});

afterAll(() => {
  programs.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** The launcher's variables are those of the test itself where it runs under one. */
async function runOver(
  library: string,
  command: readonly string[],
  variables: string[] = [],
): Promise<ChildEnd> {
  const cleared = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"].flatMap((
    name,
  ) => ["-u", name]);
  return await runChild(
    ["env", ...cleared, `CAIRN_MPI_LIBRARY=${library}`, "NO_COLOR=1", ...variables, ...command],
    { keepsErrors: true },
  );
}

function commandIn(runtime: string): string[] {
  return runtime === "node"
    ? ["node", programs.of(PROGRAM)]
    : [...runtimeCommand(runtime), fileURLToPath(PROGRAM)];
}

const RUNTIMES = isDeno ? ["deno"] : ["bun", "node"];

describe("a library with the standard interface of MPI", () => {
  for (const runtime of RUNTIMES) {
    test(`is called with its constants and handles of 64 bits, in ${runtime}`, async () => {
      if (compiler === undefined) return console.log("SKIP mpi: the standard interface (no C compiler)");
      if (!hasProgram("node")) return console.log("SKIP mpi: the standard interface in Node (no node)");
      const { status, output, errors } = await runOver(stub, commandIn(runtime));
      expect([status, errors]).toEqual([0, ""]);
      expect(JSON.parse(output)).toEqual({
        version: "a stub of the standard interface",
        rank: 0,
        size: 2,
        gathered: [[100_000, 7], [100_000, 7]],
        back: [2, 3],
      });
    }, 600_000);
  }

  test("is refused when the launcher has started another number of processes", async () => {
    if (compiler === undefined) return console.log("SKIP mpi: the standard interface (no C compiler)");
    const { status, errors } = await runOver(stub, commandIn(isDeno ? "deno" : "bun"), ["PMI_SIZE=3"]);
    expect(status).not.toBe(0);
    expect(errors).toContain("PMI_SIZE says that 3 processes were started");
    expect(errors).toContain("it is not the library of that mpiexec");
  }, 600_000);
});

describe("a library that is named", () => {
  test("has to be one of MPI", async () => {
    for (const library of ["libc.so.6", "/nowhere/libmpi.so"]) {
      const { status, errors } = await runOver(library, commandIn(isDeno ? "deno" : "bun"));
      expect([library, status]).toEqual([library, 1]);
      expect(errors).toContain(`CAIRN_MPI_LIBRARY is ${library}, which cannot be loaded as an MPI library`);
    }
  }, 600_000);
});

describe("the launcher", () => {
  test("is known by its variables, and none is none", () => {
    expect(launcherOf({})).toBeUndefined();
    expect(launcherOf({ PMI_SIZE: "" })).toBeUndefined();
    expect(launcherOf({ PMI_SIZE: "4" })).toEqual({ kind: "mpich", variable: "PMI_SIZE", size: 4 });
    expect(launcherOf({ OMPI_COMM_WORLD_SIZE: "2", PMI_SIZE: "9" })?.kind).toBe("openmpi");
    expect(launcherOf({ SLURM_STEP_NUM_TASKS: "8" })).toEqual({
      kind: undefined,
      variable: "SLURM_STEP_NUM_TASKS",
      size: 8,
    });
  });
});

describe("the constants", () => {
  test("are those of each interface, and Open MPI's are where its library has them", () => {
    const asked: string[] = [];
    const addressOf = (symbol: string): number => 0x7000_0000_0000 + asked.push(symbol);
    expect(constantsOf("openmpi", addressOf).world).toBe(0x7000_0000_0001);
    expect(asked).toEqual(["ompi_mpi_comm_world", "ompi_mpi_byte", "ompi_mpi_errors_return"]);
    expect(constantsOf("mpich", addressOf)).toMatchObject({
      handle: "i32",
      world: 0x44000000,
      ignoreStatus: 1,
    });
    expect(constantsOf("abi", addressOf)).toMatchObject({
      handle: "u64",
      world: 0x101,
      threadMultiple: 4096,
    });
  });
});
