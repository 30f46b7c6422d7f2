import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runtimeCommand } from "../../tools/runtimes.mjs";
import { type ChildEnd, hasProgram, runChild } from "../helpers/child.ts";

/** Whose `mpiexec`, and whose library. */
export type Mpi = "mpich" | "openmpi";

/** What the ranks run in. */
export type RankRuntime = "bun" | "deno" | "node";

/** How ranks are started. */
export interface RankStart {
  readonly mpi: Mpi;
  readonly runtime: RankRuntime;
  readonly ranks: number;
}

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** What `--version` of a launcher says. */
const MARKS: Readonly<Record<Mpi, RegExp>> = { mpich: /HYDRA/i, openmpi: /Open ?MPI|OpenRTE|PRTE/i };

function launcherOf(mpi: Mpi): string | undefined {
  return [`mpiexec.${mpi}`, "mpiexec"].find((name) => {
    if (!hasProgram(name)) return false;
    const { stdout, stderr } = spawnSync(name, ["--version"], { encoding: "utf8", env: environment() });
    return MARKS[mpi].test(stdout + stderr);
  });
}

/**
 * The MPIs of this machine.
 *
 * @param skip Told of each that is missing.
 */
export function foundMpis(skip: (what: string) => void, what: string): Mpi[] {
  return (["mpich", "openmpi"] as const).filter((mpi) => {
    if (launcherOf(mpi) !== undefined) return true;
    skip(`mpi: ${what} over ${mpi} (no mpiexec)`);
    return false;
  });
}

/** Open MPI does not start as root unless it is told to. */
function environment(extra: Readonly<Record<string, string>> = {}): Record<string, string | undefined> {
  return {
    ...process.env,
    OMPI_ALLOW_RUN_AS_ROOT: "1",
    OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
    NO_COLOR: "1",
    ...extra,
  };
}

/** Programs for Node, which reads no TypeScript: bundled once each. */
export class NodePrograms {
  #folder: string | undefined;
  readonly #bundled = new Map<string, string>();

  /** The program as one file, from where the packages are found. */
  of(script: URL): string {
    const path = fileURLToPath(script);
    let bundled = this.#bundled.get(path);
    if (bundled !== undefined) return bundled;
    mkdirSync(join(ROOT, "build"), { recursive: true });
    this.#folder ??= mkdtempSync(join(ROOT, "build", "ranks-"));
    bundled = join(this.#folder, `program_${this.#bundled.size}.mjs`);
    const esbuild = join(ROOT, "node_modules", "esbuild", "bin", "esbuild");
    const options = ["--bundle", "--platform=node", "--format=esm", "--log-level=error"];
    const { status, stderr } = spawnSync(esbuild, [path, ...options, `--outfile=${bundled}`], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`esbuild cannot bundle ${path}: ${stderr}`);
    this.#bundled.set(path, bundled);
    return bundled;
  }

  remove(): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Starts a program on so many ranks, and says how `mpiexec` ended. */
export async function runRanks(
  { mpi, runtime, ranks }: RankStart,
  script: URL,
  { args = [], programs, env = {}, mostSeconds, onOutput = () => {} }: {
    readonly args?: readonly string[];
    readonly programs: NodePrograms;
    readonly env?: Readonly<Record<string, string>>;
    /** Ends it with 124 when it takes longer. Unless given, it may take its time. */
    readonly mostSeconds?: number;
    readonly onOutput?: (output: string, kill: () => void) => void;
  },
): Promise<ChildEnd> {
  const command = runtime === "node"
    ? ["node", programs.of(script)]
    : [...runtimeCommand(runtime), fileURLToPath(script)];
  const onSmallMachines = mpi === "openmpi" ? ["--oversubscribe", "--bind-to", "none"] : [];
  const set = Object.entries(environment(env)).flatMap(([name, value]) =>
    value === undefined || process.env[name] === value ? [] : [`${name}=${value}`]
  );
  const launcher = launcherOf(mpi) ?? `mpiexec.${mpi}`;
  const limit = mostSeconds === undefined ? [] : ["timeout", "-k", "10", String(mostSeconds)];
  return await runChild(
    ["env", ...set, ...limit, launcher, ...onSmallMachines, "-n", String(ranks), ...command, ...args],
    { keepsErrors: true, onOutput },
  );
}
