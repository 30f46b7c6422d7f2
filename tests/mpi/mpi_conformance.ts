import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type NodePrograms, type RankStart, runRanks } from "./mpi_runs.ts";

/** What ranks found out of the promises of groups. */
export interface Conformance {
  readonly promises: number;
  readonly failures: readonly string[];
}

/** Has so many ranks keep all promises of groups of their size. */
export async function conformanceOf(start: RankStart, programs: NodePrograms): Promise<Conformance> {
  const directory = mkdtempSync(join(tmpdir(), "cairn-mpi-"));
  try {
    const script = new URL("contract_program.ts", import.meta.url);
    const { status, output, errors } = await runRanks(start, script, { args: [directory], programs });
    const results = [...output.matchAll(/RESULT (\{.*\})$/gm)].map(([, json = ""]) =>
      JSON.parse(json) as { rank: number; promises: number; failures: string[] }
    );
    const failures = results.flatMap(({ rank, failures }) =>
      failures.map((failure) => `rank ${rank}: ${failure}`)
    );
    if (status !== 0) failures.push(`mpiexec ended with ${status}: ${output}${errors}`);
    if (results.length !== start.ranks) {
      failures.push(`${results.length} of ${start.ranks} ranks answered: ${output}${errors}`);
    }
    return { promises: results[0]?.promises ?? 0, failures };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
