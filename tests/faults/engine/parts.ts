import { cutEverywhere, WORKLOADS } from "../../checkpoint/file/parts/power_cuts.ts";
import { stopEverywhere } from "../../checkpoint/ranks/rank_stops.ts";
import type { Campaign } from "../campaign.ts";
import type { Outcome } from "./outcome.ts";

const MOST_IMAGES = 60;

/**
 * Row A3 for checkpoints of several files: a power cut at every operation of everything that happens to them, and
 * ranks that stop.
 */
export async function parts(
  campaign: Campaign,
  outcome: Outcome,
  mostImages: number = MOST_IMAGES,
): Promise<void> {
  for (const workload of WORKLOADS) {
    await campaign.row("A3", `power cut, several files: ${workload.what}`, async (row) => {
      const { images, failures } = await cutEverywhere(workload, mostImages);
      row.point(images.size);
      for (const image of images) outcome.images.add(`${workload.what}\n${image}`);
      for (const { isLost, message } of failures) {
        if (isLost) outcome.lost++;
        else outcome.mixed++;
        row.fail(message);
      }
    });
  }
  for (const stopped of [0, 1] as const) {
    await campaign.row("A3", `rank ${stopped} of two stops while they replace a checkpoint`, async (row) => {
      const { points, failures } = await stopEverywhere(stopped, 1);
      row.point(points);
      for (const { isLost, message } of failures) {
        if (isLost) outcome.lost++;
        else outcome.mixed++;
        row.fail(message);
      }
    });
  }
}
