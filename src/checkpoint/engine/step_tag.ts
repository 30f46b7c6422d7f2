import { CairnError } from "../../base/errors.ts";
import { readCatalog } from "./catalog.ts";
import type { Engine, EngineLoadOptions } from "./engine.ts";
import { byStep } from "./summary.ts";
import { checkTag } from "../file/tags.ts";

/** The most steps that a message lists. */
const SHOWN_STEPS = 10;

/**
 * The tag of the newest checkpoint of a step, whatever it is called. One that cannot be opened counts by its name.
 *
 * @throws CairnError `not_found` when there is none; `invalid_tag` for a number that is no step.
 */
export async function tagOfStep(
  engine: Engine,
  step: number,
  options: EngineLoadOptions = {},
): Promise<string> {
  const nameOfStep = checkTag(step);
  const { checkpoints, unreadable } = await readCatalog(engine, options);
  const found = checkpoints.findLast((each) => each.step === step);
  if (found !== undefined) return found.tag;
  // Opening it says what is wrong.
  if (unreadable.some(({ tag }) => tag === nameOfStep)) return nameOfStep;
  const path = engine.pathOf(nameOfStep);
  const steps = [...checkpoints].sort(byStep).map((each) => each.step ?? `none ("${each.tag}")`);
  const shown = steps.length > SHOWN_STEPS
    ? `the last of ${steps.length} are ${steps.slice(-SHOWN_STEPS).join(", ")}`
    : `there are ${steps.join(", ") || "none at all"}`;
  throw new CairnError(
    "not_found",
    `There is no checkpoint of step ${step} beside "${path}"; ${shown}`,
    { details: { path, value: step } },
  );
}
