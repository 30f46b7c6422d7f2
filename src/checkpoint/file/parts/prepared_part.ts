import { definedFields } from "../../../base/defined_fields.ts";
import { bytesAsHex } from "../../../base/hex.ts";
import type { WriteReport } from "../../../container/write/container_writer.ts";
import type { Coding } from "../../../container/write/coding.ts";
import type { Manifest } from "../../../container/format/manifest.ts";
import type { PartRecord } from "../../../container/format/part_list.ts";
import type { GpuEncoding } from "../../../gpu_codec/gpu_encoding.ts";
import { DurableFile } from "../../../storage/durable_file.ts";
import type { Storage } from "../../../storage/storage.ts";
import type { PartPlan } from "./components.ts";
import { partPath } from "./part_files.ts";
import type { SplitTarget } from "./write_split.ts";

/** What new files are made with: names and ids, and how their chunks are coded. */
export interface NewFiles {
  readonly coding: Coding;
  /** Says what a GPU encodes of a checkpoint of one file; nothing, unless given. */
  readonly gpuEncoding?: GpuEncoding | undefined;
  /** Random text of a fixed length, another one each time. */
  randomName(): string;
  /** Sixteen bytes that no other file has. */
  fileId(): Uint8Array;
  /** Where the names of temporary files stand as long as they are written. */
  readonly inUse: Set<string>;
}

/** A part of a checkpoint that is being written, under a temporary name until its file is committed. */
export class PreparedPart {
  readonly file: DurableFile;
  readonly #plan: PartPlan;
  readonly #fileId: Uint8Array;
  #report: WriteReport | undefined;

  private constructor(file: DurableFile, plan: PartPlan, fileId: Uint8Array) {
    this.file = file;
    this.#plan = plan;
    this.#fileId = fileId;
  }

  /** Begins a part of a checkpoint in `directory`. */
  static async create(
    storage: Storage,
    directory: string,
    plan: PartPlan,
    newFiles: NewFiles,
  ): Promise<PreparedPart> {
    const id = newFiles.fileId();
    const path = partPath(directory, { name: plan.name, fileId: bytesAsHex(id) });
    const file = await DurableFile.create(storage, path, {
      randomName: newFiles.randomName(),
      // It has its random id in it.
      isNameFree: true,
    });
    newFiles.inUse.add(file.temporaryName);
    return new PreparedPart(file, plan, id);
  }

  /** Where `writeSplit` writes it to. */
  target(manifest: Manifest): SplitTarget {
    const { role, has } = this.#plan;
    return {
      sink: this.file,
      fileId: this.#fileId,
      has,
      manifest: () => role === undefined ? manifest : { ...manifest, part: role },
      onWritten: (report) => void (this.#report = report),
    };
  }

  /** What was written, when it is complete. */
  get written(): WriteReport {
    if (this.#report === undefined) throw new TypeError(`Part "${this.#plan.name}" is not complete`);
    return this.#report;
  }

  /** What an index says of it, when it is complete. */
  get record(): PartRecord {
    const { fileId, fileBytes, checksum } = this.written;
    const { name, rank } = this.#plan;
    return definedFields<PartRecord>({ name, fileId, byteLength: fileBytes, checksum, rank });
  }
}
