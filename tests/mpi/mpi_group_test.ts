import { afterAll, describe, expect, test } from "bun:test";
import process from "node:process";
import { MpiGroup } from "../../src/mpi/mpi_group.ts";
import { hasProgram } from "../helpers/child.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { conformanceOf } from "./mpi_conformance.ts";
import { foundMpis, type Mpi, NodePrograms, type RankRuntime } from "./mpi_runs.ts";

const isDeno = process.versions.deno !== undefined;
const programs = new NodePrograms();
afterAll(() => programs.remove());

async function failuresOf(
  mpi: Mpi,
  runtime: RankRuntime,
  sizes: readonly number[],
): Promise<readonly string[]> {
  const failures: string[] = [];
  for (const ranks of sizes) {
    const found = await conformanceOf({ mpi, runtime, ranks }, programs);
    expect(found.promises).toBeGreaterThan(1);
    failures.push(...found.failures.map((failure) => `${ranks} ranks: ${failure}`));
  }
  return failures;
}

describe("ranks that mpiexec has started", () => {
  for (const mpi of foundMpis((what) => console.log(`SKIP ${what}`), "groups")) {
    test(`keep the promises of groups over ${mpi}`, async () => {
      expect(await failuresOf(mpi, isDeno ? "deno" : "bun", [1, 2, 3, 4])).toEqual([]);
    }, 600_000);

    // Node runs no tests here: one of the runtimes that do starts its ranks.
    if (!isDeno) {
      test(`keep them in Node, too, over ${mpi}`, async () => {
        if (!hasProgram("node")) return console.log("SKIP mpi: groups in Node (no node)");
        expect(await failuresOf(mpi, "node", [2, 3])).toEqual([]);
      }, 600_000);
    }
  }
});

describe("MpiGroup.open", () => {
  test("refuses an invalid time and unknown options before it begins MPI", async () => {
    expect(await thrownBy(() => MpiGroup.open({ timeoutMs: -1 }))).toBeInstanceOf(RangeError);
    expect(await thrownBy(() => MpiGroup.open({ timeout: 1 } as never))).toBeInstanceOf(TypeError);
  });
});
