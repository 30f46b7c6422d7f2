import { describedAs } from "../../../base/description.ts";
import { requireRates, type Schedule } from "./schedule.ts";

/** The same rate for ever. */
export function constantRate(rate: number): Schedule {
  requireRates("constantRate", { rate });
  return describedAs(() => rate, { name: "constantRate", rate });
}
