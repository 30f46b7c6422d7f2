import process from "node:process";
import { Campaign } from "../campaign.ts";
import { aborts } from "./aborts.ts";
import { branches } from "./branches.ts";
import { changes, kernelChanges } from "./changes.ts";
import { crashes } from "./crashes.ts";
import { deviceEngines } from "./device_engines.ts";
import { devices } from "./devices.ts";
import { hostErrors } from "./host_errors.ts";
import { ioErrors } from "./io_errors.ts";
import { knownBad } from "./known_bad.ts";
import { loads } from "./loads.ts";
import { locks } from "./locks.ts";
import { nonFinite } from "./non_finite.ts";
import { Outcome } from "./outcome.ts";
import { partErrors } from "./part_errors.ts";
import { parts } from "./parts.ts";
import { paths } from "./paths.ts";
import { realProcesses } from "./processes.ts";
import { realDevice } from "./real_device.ts";
import { sequences } from "./sequences.ts";
import { signals } from "./signals.ts";
import { silentFaults } from "./silent_faults.ts";
import { soak } from "./soak.ts";
import { concurrentWriters } from "./writers.ts";

const campaign = new Campaign("engine", process.argv.slice(2));
const outcome = new Outcome();
await knownBad(campaign);
await crashes(campaign, outcome);
await parts(campaign, outcome);
await branches(campaign, outcome);
await sequences(campaign, outcome);
await ioErrors(campaign, outcome);
await partErrors(campaign, outcome);
await aborts(campaign);
await loads(campaign);
await paths(campaign);
await soak(campaign, outcome);
await concurrentWriters(campaign, outcome);
await changes(campaign, outcome);
await kernelChanges(campaign, outcome);
await locks(campaign, outcome);
await devices(campaign, outcome);
await deviceEngines(campaign, outcome);
await realDevice(campaign);
await nonFinite(campaign, outcome);
await silentFaults(campaign, outcome);
await realProcesses(campaign, outcome);
await signals(campaign, outcome);
await hostErrors(campaign, outcome);
console.log(`${outcome.images.size} distinct crash images, ${outcome.kills} real kills`);
console.log(`lost commits: ${outcome.lost}, mixed states: ${outcome.mixed}`);
campaign.finish({
  lost: outcome.lost,
  mixed: outcome.mixed,
  images: outcome.images.size,
  kills: outcome.kills,
});
