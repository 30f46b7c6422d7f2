/**
 * Several processes that `mpiexec` has started, as a `ProcessGroup` over MPI: `mpiexec -n 8 bun train.ts`.
 * `docs/scale.md` says what is promised.
 *
 * @example
 * ```ts
 * import { MpiGroup } from "@cairn-ml/cairn/mpi";
 *
 * await using group = await MpiGroup.open({ timeoutMs: 60_000 });
 * const all = await group.allGather(Uint8Array.of(group.rank));
 * console.log(`${group.rank} of ${group.size}`, all.map(([rank]) => rank));
 * ```
 *
 * @module
 */
export { MpiGroup, type MpiGroupOptions } from "../mpi/mpi_group.ts";
