import { type Work, workOf } from "../../../base/work.ts";
import type { WriteReport } from "../../../container/write/container_writer.ts";
import type { Provenance } from "../../../container/format/manifest.ts";
import type { PartRecord } from "../../../container/format/part_list.ts";
import type { Storage } from "../../../storage/storage.ts";
import type { CheckpointSource } from "../../capture/checkpoint_source.ts";
import type { PartPlan } from "./components.ts";
import { type NewFiles, PreparedPart } from "./prepared_part.ts";
import { writeSplit } from "./write_split.ts";

/** Options of {@link writePart}. */
export interface WritePartOptions extends Work {
  readonly newFiles: NewFiles;
  readonly provenance: Partial<Provenance>;
  /** Read it back before it gets its name. */
  readonly verify: boolean;
}

/** A part that is durable and that no index names yet. */
export interface WrittenPart {
  /** What the index has to say of it. */
  readonly record: PartRecord;
  /** How many bytes, and how they were coded. */
  readonly written: WriteReport;
  /** Whether the file was read back and compared before it got its name. */
  readonly isVerified: boolean;
}

/**
 * Writes one part of a checkpoint in `directory` that another process commits, with the state beside the tensors.
 * What the plan does not have is left out. After an error nothing is left of it.
 */
export async function writePart(
  storage: Storage,
  directory: string,
  source: CheckpointSource,
  plan: PartPlan,
  options: WritePartOptions,
): Promise<WrittenPart> {
  const { newFiles, verify, signal } = options;
  const { state, user, provenance } = source.manifest;
  const part = await PreparedPart.create(storage, directory, plan, newFiles);
  try {
    const target = part.target({
      kind: "tensors",
      state,
      metrics: {},
      provenance: { ...provenance, ...options.provenance },
      user,
    });
    await writeSplit(source, [target], { ...workOf(options), coding: newFiles.coding });
    await part.file.commit({ verify, signal });
    return { record: part.record, written: part.written, isVerified: verify };
  } catch (error) {
    await part.file.abort().catch(() => {});
    throw error;
  } finally {
    newFiles.inUse.delete(part.file.temporaryName);
  }
}
