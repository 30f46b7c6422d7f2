import { type Work, workOf } from "../../base/work.ts";
import type { WriteReport } from "../../container/write/container_writer.ts";
import type { Manifest, Provenance } from "../../container/format/manifest.ts";
import type { PartList, PartRecord } from "../../container/format/part_list.ts";
import { type CommitOptions, DurableFile } from "../../storage/durable_file.ts";
import type { Storage } from "../../storage/storage.ts";
import { directoryOf } from "../../storage/storage_path.ts";
import { writeCheckpoint } from "../file/write_checkpoint.ts";
import type { CheckpointSource } from "../capture/checkpoint_source.ts";
import type { PartPlan } from "../file/parts/components.ts";
import { partsAt, removeUnnamedParts } from "./part_sweep.ts";
import { isStoreTensor } from "../file/parts/placement.ts";
import { type NewFiles, PreparedPart } from "../file/parts/prepared_part.ts";
import { joinReports, writeSplit } from "../file/parts/write_split.ts";

/** Options of {@link PreparedCheckpoint.write}. */
export interface PrepareOptions extends Work {
  readonly newFiles: NewFiles;
  readonly overwrite: boolean;
  /** See `DurableFileOptions.isNameFree`; of the index. */
  readonly isNameFree?: boolean | undefined;
  /** The parts to cut it into; none for one file. */
  readonly parts: readonly PartPlan[];
  /** What is added to the provenance of the source, and wins. */
  readonly provenance: Partial<Provenance>;
  /**
   * Adds the parts that others wrote to those of this process, which are durable by then, and gives what the index
   * says. Then no tensor of a store is in the index. Unless given, there are no other parts.
   */
  readonly completeParts?: ((own: readonly PartRecord[]) => Promise<PartList>) | undefined;
  /** Whether those parts are read back before they are made durable. */
  readonly verifyParts?: boolean | undefined;
}

/** The files of a checkpoint that is being written. */
interface PreparedFiles {
  readonly storage: Storage;
  readonly inUse: Set<string>;
  readonly index: DurableFile;
  readonly parts: PreparedPart[];
}

/**
 * A checkpoint that is written and not committed: an index, and the parts that it names, if any. The parts are made
 * durable first, each under a name that nothing else has. Then the index gets its name, which is the one moment at
 * which the checkpoint exists. An index that is being written stands beside the checkpoints and names its parts, so
 * that they are not taken for leftovers.
 */
export class PreparedCheckpoint {
  /** Of all files that this process wrote. */
  readonly written: WriteReport;
  readonly #files: PreparedFiles;
  readonly #overwrite: boolean;

  private constructor(files: PreparedFiles, overwrite: boolean, written: WriteReport) {
    this.#files = files;
    this.#overwrite = overwrite;
    this.written = written;
  }

  /** Writes all files, under temporary names. After an error nothing is left of them. */
  static async write(
    storage: Storage,
    path: string,
    source: CheckpointSource,
    options: PrepareOptions,
  ): Promise<PreparedCheckpoint> {
    const { overwrite, newFiles, isNameFree = false } = options;
    const randomName = newFiles.randomName();
    const index = await DurableFile.create(storage, path, { overwrite, randomName, isNameFree });
    newFiles.inUse.add(index.temporaryName);
    const files: PreparedFiles = { storage, inUse: newFiles.inUse, index, parts: [] };
    try {
      const isOneFile = options.parts.length === 0 && options.completeParts === undefined;
      const written = isOneFile
        ? await writeCheckpoint(index, source, {
          ...workOf(options),
          fileId: newFiles.fileId(),
          coding: newFiles.coding,
          gpuEncoding: newFiles.gpuEncoding,
          provenance: options.provenance,
        })
        : await writeFiles(files, source, options);
      return new PreparedCheckpoint(files, overwrite, written);
    } catch (error) {
      await drop(files);
      throw error;
    }
  }

  /** Whether the index has its name, which is short of a commit only when syncing the directory failed. */
  get isPublished(): boolean {
    return this.#files.index.isPublished;
  }

  /**
   * Makes the checkpoint exist: the parts, then the index. What an overwritten one had in parts of its own goes
   * afterwards.
   *
   * @throws as `DurableFile.commit`.
   */
  async commit(options: CommitOptions = {}): Promise<void> {
    const { storage, index, parts } = this.#files;
    const replaced = this.#overwrite ? await partsAt(storage, index.path) : [];
    for (const { file } of parts) if (!file.isCommitted) await file.commit(options);
    await index.commit(options);
    forget(this.#files);
    await removeUnnamedParts(storage, directoryOf(index.path), replaced);
  }

  /** Removes all files, unless the index was published. Never throws: what stays is a leftover. */
  async abort(): Promise<void> {
    if (this.isPublished) forget(this.#files);
    else await drop(this.#files);
  }
}

async function writeFiles(
  { storage, index, parts }: PreparedFiles,
  source: CheckpointSource,
  options: PrepareOptions,
): Promise<WriteReport> {
  const { completeParts } = options;
  const provenance = { ...source.manifest.provenance, ...options.provenance };
  const { order: _, ...ofPart } = provenance;
  const partManifest: Manifest = { kind: "tensors", state: {}, metrics: {}, provenance: ofPart, user: {} };
  for (const plan of options.parts) {
    parts.push(await PreparedPart.create(storage, directoryOf(index.path), plan, options.newFiles));
  }
  const reports: WriteReport[] = [];
  await writeSplit(source, [...parts.map((part) => part.target(partManifest)), {
    sink: index,
    fileId: options.newFiles.fileId(),
    has: (tensor) => completeParts === undefined || !isStoreTensor(tensor),
    manifest: async () => {
      const files = parts.map(({ record }) => record);
      if (completeParts === undefined) return { ...source.manifest, provenance, parts: { files } };
      for (const { file } of parts) await file.commit({ verify: options.verifyParts ?? false });
      return { ...source.manifest, provenance, parts: await completeParts(files) };
    },
    onWritten: (report) => void reports.push(report),
  }], { ...workOf(options), coding: options.newFiles.coding });
  return joinReports([...parts.map(({ written }) => written), ...reports]);
}

/** No temporary files of it are there any more. */
function forget({ inUse, index, parts }: PreparedFiles): void {
  for (const { temporaryName } of [index, ...parts.map(({ file }) => file)]) inUse.delete(temporaryName);
}

async function drop(files: PreparedFiles): Promise<void> {
  const { storage, index, parts } = files;
  await index.abort().catch(() => {});
  for (const { file } of parts) await file.abort().catch(() => {});
  forget(files);
  // Only after a look: a move may report failure and be done, and then the index is there and names them.
  const published = parts.filter(({ file }) => file.isPublished).map(({ record }) => record);
  await removeUnnamedParts(storage, directoryOf(index.path), published);
}
