import { readCatalog } from "../../checkpoint/engine/catalog.ts";
import type { Engine } from "../../checkpoint/engine/engine.ts";
import { planRetention, type RetentionPolicy } from "../../checkpoint/keep/retention/retention.ts";
import type { AutoSaver } from "./auto_saver.ts";

/** What is about to be saved, as far as what is kept depends on it. */
export interface Newcomer {
  readonly step: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** A name that no checkpoint has. */
const NEWCOMER_TAG = "";

/**
 * Whether the checkpoint `tag` of this run may be replaced by one that is to have its name. The user has to have
 * asked for it, with `overwrite` or with a name that has no fields, and `keep` must not protect it.
 */
export async function mayReplace(
  tag: string,
  moment: "epoch" | "step",
  { engine, autoSaver, newcomer }: { engine: Engine; autoSaver: AutoSaver; newcomer: Newcomer },
): Promise<boolean> {
  const { keep, overwrite, name, stepName } = autoSaver.settings;
  const isOverwritten = overwrite && tag === autoSaver.lastSavedTag;
  const { fields } = moment === "epoch" ? name : stepName;
  if (!isOverwritten && fields.length > 0) return false;
  const { checkpoints } = await readCatalog(engine, { knowing: tag });
  // Without `last` and `rule` all are kept, but a name without fields means that there is one.
  const isEveryOneKept = keep.last === undefined && keep.rule === undefined;
  const kept: RetentionPolicy = {
    ...keep,
    last: isEveryOneKept ? 1 : keep.last,
    replaces: isOverwritten ? tag : undefined,
  };
  const plan = planRetention(
    [...checkpoints, { ...NOT_YET_WRITTEN, ...newcomer, runId: engine.runId }],
    kept,
    { runId: engine.runId, newest: NEWCOMER_TAG },
  );
  return plan.some((decision) => decision.tag === tag && !decision.keeps);
}

const NOT_YET_WRITTEN = {
  tag: NEWCOMER_TAG,
  path: "",
  fileId: "",
  createdAt: undefined,
  savedBy: "auto",
  savedTag: NEWCOMER_TAG,
} as const;
