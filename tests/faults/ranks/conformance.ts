import { conformanceOf } from "../../mpi/mpi_conformance.ts";
import type { NodePrograms, RankStart } from "../../mpi/mpi_runs.ts";
import type { Campaign } from "../campaign.ts";

/** All promises of groups, on each number of ranks. */
export async function conformance(
  campaign: Campaign,
  { starts, programs }: { readonly starts: readonly RankStart[]; readonly programs: NodePrograms },
): Promise<void> {
  await campaign.row("R1", "groups over MPI keep the promises of groups", async (row) => {
    for (const start of starts) {
      const { promises, failures } = await conformanceOf(start, programs);
      row.point(promises);
      for (const failure of failures) {
        row.fail(`${start.ranks} ranks in ${start.runtime} over ${start.mpi}: ${failure}`);
      }
    }
  });
}
