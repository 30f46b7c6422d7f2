import process from "node:process";
import { Campaign } from "../campaign.ts";
import { badHeaders } from "./bad_headers.ts";
import { bitDamage } from "./bit_damage.ts";
import { bombs } from "./bombs.ts";
import { codecDamage } from "./codec_damage.ts";
import { fuzz } from "./fuzz.ts";
import { largeFile } from "./large_file.ts";
import { truncation } from "./truncation.ts";

// Damaged and hostile containers: `npm run faults -- container [rows]`. Every one has to be refused.
const campaign = new Campaign("container", process.argv.slice(2));
await bitDamage(campaign);
await truncation(campaign);
const digest = await badHeaders(campaign);
await bombs(campaign);
await codecDamage(campaign);
await largeFile(campaign);
await fuzz(campaign);
campaign.finish({ accepted: campaign.totals.failures, digest });
