import { type Work, WORK_OPTIONS, workOf } from "../../base/work.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { CairnError } from "../../base/errors.ts";
import type { Coding } from "../../container/write/coding.ts";
import type { WriteReport } from "../../container/write/container_writer.ts";
import type { Manifest } from "../../container/format/manifest.ts";
import { FileStorage } from "../../storage/file_storage.ts";
import type { Checkpoint } from "../file/checkpoint.ts";
import { FileMaker } from "../engine/file_maker.ts";
import { checkpointPath, openCheckpoint } from "../file/open_path.ts";
import { checkComponents, type Components, planComponents } from "../file/parts/components.ts";
import { readerSource } from "../file/parts/reader_source.ts";
import { PreparedCheckpoint } from "../engine/prepared_checkpoint.ts";
import { checkTag } from "../file/tags.ts";

/** Options of {@link splitCheckpoint}. */
export interface SplitCheckpointOptions extends Work, Pick<Coding, "mode" | "codec" | "tensorCodecs"> {
  /** Components that get a file of their own: all, the default; those that are named; or `false` for one file again. */
  readonly components?: Components | undefined;
  /** Replace a checkpoint that is there. */
  readonly overwrite?: boolean | undefined;
}

/** Every option of {@link SplitCheckpointOptions}. */
export const SPLIT_CHECKPOINT_OPTIONS: OptionNames<SplitCheckpointOptions> = {
  ...WORK_OPTIONS,
  components: true,
  overwrite: true,
  mode: true,
  codec: true,
  tensorCodecs: true,
};

/**
 * Copies a checkpoint into a file per component or into one file, with bounded memory. The source stays as it is. The
 * copy belongs to no run, so that no retention deletes it.
 *
 * @param from Path of the checkpoint, with or without ".cairn".
 * @param to Path of the new one, in any directory that is there.
 * @returns What was written; when it resolves, that is durable.
 * @throws CairnError `not_found`, `already_exists`, `invalid_tag`; `checksum_mismatch` for a damaged source, of which
 * nothing is then written; `unsupported` for what several ranks saved, whose own tensors and states do not fit one
 * file.
 */
export async function splitCheckpoint(
  from: string | URL,
  to: string | URL,
  options: SplitCheckpointOptions = {},
): Promise<WriteReport> {
  checkOptions("splitCheckpoint()", options, SPLIT_CHECKPOINT_OPTIONS);
  const { components = true, overwrite = false, mode, codec, tensorCodecs } = options;
  checkComponents(components);
  const { directory, fileName } = checkpointPath(to);
  const tag = checkTag(fileName);
  const checkpoint = await openCheckpoint(from, options.signal);
  try {
    const storage = await FileStorage.open(directory);
    refuseRanks(checkpoint);
    refuseSame(checkpoint, storage.describe(fileName));
    const source = readerSource(checkpoint.reader, manifestOf(checkpoint, tag));
    const prepared = await PreparedCheckpoint.write(storage, fileName, source, {
      ...workOf(options),
      overwrite,
      parts: planComponents(source.tensors, components),
      provenance: {},
      newFiles: new FileMaker({ mode, codec, tensorCodecs }),
    });
    try {
      await prepared.commit({ verify: true, signal: options.signal });
    } catch (error) {
      await prepared.abort();
      throw error;
    }
    return prepared.written;
  } finally {
    await checkpoint.close();
  }
}

function manifestOf({ reader }: Checkpoint, tag: string): Manifest {
  const { parts: _, ...manifest } = reader.manifest;
  const { runId: __, ...provenance } = manifest.provenance;
  return { ...manifest, provenance: { ...provenance, tag, savedBy: "user" } };
}

function refuseRanks({ placement: { savedWorldSize }, tag, path }: Checkpoint): void {
  if (savedWorldSize === undefined) return;
  throw new CairnError(
    "unsupported",
    `Cannot split checkpoint "${tag}" (${path}): ${savedWorldSize} ranks saved it, each with a state of its own; ` +
      "use exportWeights for the tensors that belong to all of them",
    { details: { tag, path } },
  );
}

function refuseSame({ path, tag }: Checkpoint, target: string): void {
  if (path !== target) return;
  throw new CairnError(
    "already_exists",
    `Cannot write checkpoint "${tag}" over itself (${path}); choose another path, as the source has to stay`,
    { details: { tag, path } },
  );
}
