import { checkOptions, type OptionNames } from "../base/options/options.ts";
import type { Storages } from "../storage/open_storage.ts";
import { TensorStore } from "../tensor/tensor_store.ts";
import type { CommitReport } from "./engine/engine.ts";
import type { HostState, StateInput } from "./capture/state_types.ts";
import { checkpointPath, openCheckpoint } from "./file/open_path.ts";
import { restore } from "./restore/restore.ts";
import { SaveTarget } from "./save_target.ts";

/** Fields of a snapshot: whatever names the caller likes, such as `modelStateDict`, `epoch` and `loss`. */
export type SnapshotFields = { readonly [name: string]: StateInput };

/** Options of {@link FieldSnapshot.load}. */
export interface FieldLoadOptions {
  /** Storages of others by scheme, for a path such as `s3://bucket/fields`. */
  readonly storages?: Storages | undefined;
  /** Stops the call, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Every option of {@link FieldLoadOptions}. */
export const FIELD_LOAD_OPTIONS: OptionNames<FieldLoadOptions> = { storages: true, signal: true };

/** Options of {@link FieldSnapshot.save}. */
export interface FieldSaveOptions extends FieldLoadOptions {
  /** Replace a file that is there already; otherwise that is `already_exists`. */
  readonly overwrite?: boolean | undefined;
}

/** Every option of {@link FieldSaveOptions}. */
export const FIELD_SAVE_OPTIONS: OptionNames<FieldSaveOptions> = { ...FIELD_LOAD_OPTIONS, overwrite: true };

/** Named values to be written to one file, without a run around them. `Snapshot.of` makes one. */
export class FieldSnapshot {
  /** By name; those that were given, or those that were loaded. */
  readonly fields: SnapshotFields;

  /**
   * Values to be saved. Nothing is copied before that.
   *
   * @throws TypeError for a tensor store, whose tensors are on the GPU: read them first, or use `new Snapshot`.
   */
  constructor(fields: SnapshotFields) {
    for (const [name, value] of Object.entries(fields as Record<string, unknown>)) {
      if (!(value instanceof TensorStore)) continue;
      throw new TypeError(
        `Field "${name}" is a TensorStore; read its tensors first (await store.read(names))`,
      );
    }
    this.fields = fields;
  }

  /**
   * Writes the fields as they are now. When it resolves, the file is durable.
   *
   * @param path Of the file; ".cairn" is added where it is missing.
   */
  async save(path: string | URL, options: FieldSaveOptions = {}): Promise<CommitReport> {
    const { storages, ...saving } = checkOptions("save()", options, FIELD_SAVE_OPTIONS);
    const { directory, fileName: tag } = checkpointPath(path, storages);
    const target = new SaveTarget(directory, { storages });
    try {
      const info = { tag, saveLatest: false };
      return await (await target.saver.save({ state: this.fields }, info, saving)).wait();
    } finally {
      await target.close();
    }
  }

  /**
   * The fields of a file, typed arrays and host tensors included.
   *
   * @throws CairnError `not_found`, or what is wrong with the file.
   */
  static async load(
    path: string | URL,
    options: FieldLoadOptions = {},
  ): Promise<{ [name: string]: HostState }> {
    const { signal, storages } = checkOptions("Snapshot.load()", options, FIELD_LOAD_OPTIONS);
    const checkpoint = await openCheckpoint(path, signal, storages);
    try {
      const { saved } = await restore(checkpoint.source, {}, { signal });
      return saved as { [name: string]: HostState };
    } finally {
      await checkpoint.close();
    }
  }
}
