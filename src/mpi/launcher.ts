import type { MpiKind } from "./library_kind.ts";

/** Variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Who started this process among others. */
export interface Launcher {
  /** Whose `mpiexec` it was; `undefined` where a library of any kind may be meant. */
  readonly kind: MpiKind | undefined;
  /** The variable that says how many processes there are, and what it says. */
  readonly variable: string;
  readonly size: number;
}

/** Of the `mpiexec` of Open MPI; of MPICH and all that come from it; and of Slurm's `srun`. */
const VARIABLES: readonly (readonly [variable: string, kind: MpiKind | undefined])[] = [
  ["OMPI_COMM_WORLD_SIZE", "openmpi"],
  ["PMI_SIZE", "mpich"],
  ["SLURM_STEP_NUM_TASKS", undefined],
];

/** What the environment says of the launcher; `undefined` where it says nothing. */
export function launcherOf(environment: Environment): Launcher | undefined {
  for (const [variable, kind] of VARIABLES) {
    const size = Number(environment[variable] ?? NaN);
    if (Number.isSafeInteger(size) && size >= 1) return { kind, variable, size };
  }
  return undefined;
}
