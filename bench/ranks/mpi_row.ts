import process from "node:process";
import { foundMpis, NodePrograms, runRanks } from "../../tests/mpi/mpi_runs.ts";
import { runtimeName } from "../../tests/faults/campaign.ts";
import type { RankFigures } from "./mpi_rank.ts";

const PROGRAM = new URL("mpi_rank.ts", import.meta.url);
const MOST = { ratio: 1.5, heldMs: 2 } as const;
/** A job that hangs ends. */
const MOST_SECONDS = 1800;

/** The reduction of 64 MiB on two ranks over each MPI that is there, against MPI_Allreduce of the same library. */
export async function mpiRows(): Promise<(RankFigures & { readonly isHeld: boolean })[]> {
  const rows = [];
  const runtime = runtimeName() === "deno" ? "deno" : "bun";
  for (const mpi of foundMpis((what) => console.log(`SKIP ${what}`), "the reduction")) {
    const args = process.argv.slice(2);
    const start = { mpi, runtime, ranks: 2 } as const;
    const end = await runRanks(start, PROGRAM, {
      args,
      programs: new NodePrograms(),
      mostSeconds: MOST_SECONDS,
    });
    const json = /RESULT (\{.*\})$/m.exec(end.output)?.[1];
    if (end.status !== 0 || json === undefined) {
      throw new Error(`two ranks over ${mpi} ended with ${end.status}: ${end.output}${end.errors}`);
    }
    const figures = JSON.parse(json) as RankFigures;
    const { ms, ratio, bare, heldMs, fenceMs, provider } = figures;
    // A fence of Deno's own WebGPU holds the thread by itself.
    const mostHeldMs = provider === "native" ? Math.max(MOST.heldMs, fenceMs) : MOST.heldMs;
    const isSoon = ratio <= MOST.ratio;
    const isFree = heldMs <= mostHeldMs;
    console.log(
      `two ranks over ${mpi} add up 64 MiB on their GPUs: ${ms.toFixed(0)} ms | ${ratio.toFixed(3)}x ` +
        `MPI_Allreduce with the same way from the GPU and back | <= ${MOST.ratio}: ${verdict(isSoon)} | ` +
        `${bare.toFixed(3)}x MPI_Allreduce of what is on the host`,
    );
    console.log(
      `the thread is held meanwhile, p99: ${heldMs.toFixed(2)} ms, by fences of the GPU alone ${
        fenceMs.toFixed(2)
      } ms | ` +
        `<= ${mostHeldMs.toFixed(2)}: ${verdict(isFree)}`,
    );
    rows.push({ ...figures, isHeld: isSoon && isFree });
  }
  return rows;
}

function verdict(isHeld: boolean): string {
  return isHeld ? "held" : "MISSED";
}
