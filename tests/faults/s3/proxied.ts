import { NO_MOTO } from "../../../tools/moto.mjs";
import { realS3 } from "../../helpers/real_s3.ts";
import { S3Proxy } from "../../helpers/s3_proxy.ts";
import type { Campaign } from "../campaign.ts";
import { goWrongEverywhere } from "./answers.ts";
import { cutEverywhere } from "./cuts.ts";
import type { S3Outcome } from "./outcome.ts";
import { sleepEverywhere } from "./writers.ts";

/** How many requests are left out between two at which something happens. */
export interface Strides {
  readonly cuts: number;
  readonly answers: number;
  readonly sleeps: number;
}

/**
 * Rows S8 to S10: what S1, S2 and S4 do, to the connections of a real server. A proxy before it closes them, keeps
 * answers, gives others, and moves the clock.
 */
export async function proxied(
  campaign: Campaign,
  outcome: S3Outcome,
  strides: Strides = { cuts: 1, answers: 11, sleeps: 1 },
): Promise<void> {
  const target = await realS3();
  if (target === undefined) return campaign.skip(`S8 to S10: ${NO_MOTO}`);
  const proxy = await S3Proxy.open(target);
  const newStore = () => proxy.newStore();
  await campaign.row(
    "S8",
    "S1 before a real server: connections are closed",
    async (row) => await cutEverywhere(row, outcome, newStore, strides.cuts),
  );
  await campaign.row(
    "S9",
    "S2 before a real server, at one request of some",
    async (row) => await goWrongEverywhere(row, outcome, newStore, strides.answers),
  );
  await campaign.row(
    "S10",
    "S4 before a real server, whose clock is moved",
    async (row) => await sleepEverywhere(row, outcome, newStore, strides.sleeps),
  );
  await proxy.close();
}
