import process from "node:process";
import { Campaign } from "../campaign.ts";
import { answers } from "./answers.ts";
import { cuts } from "./cuts.ts";
import { S3Outcome } from "./outcome.ts";
import { realStore } from "./real_store.ts";
import { stores } from "./stores.ts";
import { writers } from "./writers.ts";

const campaign = new Campaign("s3", process.argv.slice(2));
const outcome = new S3Outcome();
await cuts(campaign, outcome);
await answers(campaign, outcome);
await writers(campaign, outcome);
await stores(campaign);
await realStore(campaign);
console.log(`lost commits: ${outcome.lost}, mixed states: ${outcome.mixed}`);
campaign.finish({ lost: outcome.lost, mixed: outcome.mixed });
