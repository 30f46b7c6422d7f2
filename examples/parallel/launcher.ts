import { spawnSync } from "node:child_process";

/** Open MPI wants to be told what MPICH does unasked. */
const OF_OPEN_MPI = ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none"];

/**
 * The beginning of a command that starts so many ranks, with the `mpiexec` of this machine.
 *
 * @throws Error where there is none.
 */
export function launcher(ranks: number): string[] {
  for (const name of ["mpiexec", "mpiexec.mpich", "mpiexec.openmpi"]) {
    const { status, stdout, stderr } = spawnSync(name, ["--version"], { encoding: "utf8" });
    if (status !== 0) continue;
    const isOpenMpi = /Open ?MPI|OpenRTE|PRTE/i.test(stdout + stderr);
    return [name, ...isOpenMpi ? OF_OPEN_MPI : [], "-n", String(ranks)];
  }
  throw new Error("There is no mpiexec here: apt install mpich, or openmpi-bin");
}
