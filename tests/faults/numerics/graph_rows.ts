import { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { gpuTestOptions } from "../../helpers/gpu.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { compareGraphs } from "./differential.ts";
import { randomGraph } from "./random_graphs.ts";

/** Which graphs a campaign runs. */
export interface GraphChoice {
  readonly seed: number;
  readonly first: number;
  readonly count: number;
  /** Whether kernels are those for GPUs on every adapter. Default false. */
  readonly hasGpuVariants?: boolean;
}

/** Graphs that share a program: each program is one submit and one read-back. */
const GRAPHS_A_PROGRAM = 10;

/** At least this share of the compared elements has to be certain, or the comparison would prove little. */
const TELLING_SHARE = 0.8;

/** Random graphs on the GPU against enclosures of float64: what no rounding explains is a failure. */
export async function graphRows(campaign: Campaign, choice: GraphChoice): Promise<void> {
  const gpu = await GpuDevice.open(gpuTestOptions());
  if (choice.hasGpuVariants === true) Object.defineProperty(gpu, "isCpuAdapter", { value: false });
  try {
    await campaign.row("N1", "random graphs give what IEEE 754 and WGSL's accuracy allow", async (row) => {
      await runGraphs(gpu, choice, row);
    });
  } finally {
    await gpu.close();
  }
}

/** Runs the chosen graphs, a point each. */
export async function runGraphs(gpu: GpuDevice, choice: GraphChoice, row: RowRecorder): Promise<void> {
  const { seed, first, count } = choice;
  let [elements, telling] = [0, 0];
  for (let start = 0; start < count; start += GRAPHS_A_PROGRAM) {
    const size = Math.min(GRAPHS_A_PROGRAM, count - start);
    const graphs = Array.from({ length: size }, (_, index) => randomGraph(seed, first + start + index));
    const found = await compareGraphs(gpu, graphs);
    row.point(size);
    for (const difference of found.differences) row.fail(difference);
    elements += found.elements;
    telling += found.telling;
  }
  const share = telling / Math.max(elements, 1);
  row.note(
    `seed ${seed}, graphs ${first} to ${first + count - 1}: ${elements} elements, ${
      (share * 100).toFixed(1)
    } % of them certain`,
  );
  if (count >= 100 && share < TELLING_SHARE) {
    row.fail(`only ${(share * 100).toFixed(1)} % of the elements are certain`);
  }
}
