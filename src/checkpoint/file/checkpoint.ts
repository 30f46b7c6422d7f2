import { type Work, WORK_OPTIONS } from "../../base/work.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { DType } from "../../base/dtype.ts";
import type { ContainerReader } from "../../container/read/container_reader.ts";
import type { Provenance } from "../../container/format/manifest.ts";
import type { PartRecord } from "../../container/format/part_list.ts";
import type { Storage } from "../../storage/storage.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";
import { CairnError } from "../../base/errors.ts";
import { showAs } from "../../base/printable.ts";
import { checkpointText } from "./checkpoint_text.ts";
import type { UserFields } from "../capture/frozen_checkpoint.ts";
import type { HostState } from "../capture/state_types.ts";
import type { LoadReport } from "../restore/load_report.ts";
import { type CheckpointManifest, listEntries, objectPath, type StateTrees } from "./object_path.ts";
import { READ_OBJECT_OPTIONS, readObject, type ReadObjectOptions, readState } from "./read_object.ts";
import { asModelCode, type ModelCode } from "../capture/model_code.ts";
import { CheckpointFiles } from "./parts/checkpoint_files.ts";
import {
  type JoinedView,
  joinForRank,
  type PlacementReport,
  RANK_VIEW,
  type RankView,
} from "./parts/rank_view.ts";
import { requireMappable } from "./parts/require_mappable.ts";
import { PARTIAL_LOAD_OPTIONS } from "../restore/partial_load_options.ts";
import { type CheckpointLoadOptions, restore, type RestoreSource } from "../restore/restore.ts";
import { stepOfTag } from "./tags.ts";
import { requireUndamaged } from "./undamaged.ts";

/** Every option of {@link CheckpointLoadOptions}. */
export const CHECKPOINT_LOAD_OPTIONS: OptionNames<CheckpointLoadOptions> = {
  ...PARTIAL_LOAD_OPTIONS,
  ...WORK_OPTIONS,
  groups: true,
  strict: true,
};

/** A checkpoint on disk, open: its tables are checked, its data is read when asked for. Close it when done. */
export class Checkpoint {
  /** Its tag: the name of its file, without ".cairn". */
  readonly tag: string;
  #path: string;
  #files: CheckpointFiles;
  #rank: RankView = {};
  #view: JoinedView;
  #otherCopies: readonly (() => Promise<Checkpoint>)[] = [];
  #isVerified = false;

  private constructor(path: string, tag: string, files: CheckpointFiles, view: JoinedView) {
    this.tag = tag;
    this.#path = path;
    this.#files = files;
    this.#view = view;
  }

  /**
   * Opens a checkpoint of a storage, with all files that belong to it.
   *
   * @throws CairnError `not_found`, or what is wrong with the file, with the tag and the path in its message.
   */
  static async open(storage: Storage, path: string, tag: string, signal?: AbortSignal): Promise<Checkpoint> {
    const full = storage.describe(path);
    let files: CheckpointFiles | undefined;
    try {
      files = await CheckpointFiles.open(storage, path, signal);
      return new Checkpoint(full, tag, files, joinForRank(files));
    } catch (error) {
      await files?.close();
      if (!(error instanceof CairnError)) throw error;
      // There is none, and the storage has said so with its path.
      if (error.code === "not_found") throw error;
      throw new CairnError(error.code, `Cannot load checkpoint "${tag}" (${full}): ${error.message}`, {
        details: { ...error.details, tag, path: full },
        cause: error,
      });
    }
  }

  static {
    showAs(Checkpoint.prototype, checkpointText);
  }

  /** Full name, for people and for messages. */
  get path(): string {
    return this.#path;
  }

  /** All files of the checkpoint as one container, as the rank sees it; see {@link forRank}. */
  get reader(): ContainerReader {
    return this.#view.reader;
  }

  /** What it is made of besides the file at {@link path}. None for a checkpoint of one file. */
  get parts(): readonly PartRecord[] {
    return this.#files.parts.map(({ record }) => record);
  }

  /** How the tensors that ranks saved become those of the rank that looks. */
  get placement(): PlacementReport {
    return this.#view.report;
  }

  /**
   * Looks at the checkpoint as one of several ranks: from then on it has the replicated tensors, the rows that
   * `sharded` says of those that are cut, and the own tensors and the state of the rank of the same number. Without
   * this it is the only rank, 0 of 1.
   *
   * @throws RangeError for an invalid rank; CairnError `state_mismatch` for rows that do not fit.
   */
  forRank(view: RankView): this {
    checkOptions("forRank()", view, RANK_VIEW, "{ rank: 0, worldSize: 2 }");
    this.#view = joinForRank(this.#files, view);
    this.#rank = view;
    return this;
  }

  /**
   * Makes {@link verify} and {@link loadInto} go on with another copy of the checkpoint when this one is damaged.
   *
   * @param others Ways to open them, in the order in which they are to be tried.
   *
   * @internal
   */
  withCopies(others: readonly (() => Promise<Checkpoint>)[]): this {
    this.#otherCopies = others;
    return this;
  }

  /** Who wrote it, when, and in the course of what. */
  get provenance(): Provenance {
    return this.reader.manifest.provenance;
  }

  /** Figures that were measured when it was saved, by name. */
  get metrics(): Readonly<Record<string, number>> {
    return this.reader.manifest.metrics;
  }

  /** The optimiser step it was saved at, as it was recorded; or else as its tag says. */
  get step(): number | undefined {
    return this.provenance.step ?? stepOfTag(this.tag);
  }

  /** Names of tensors that were left out on purpose when it was saved. */
  get excludedTensors(): readonly string[] {
    return this.#user.excludedTensors ?? [];
  }

  /**
   * By name, the dtype that tensors had when they were saved which the file has with another one. Loading casts them
   * back.
   */
  get castFrom(): ReadonlyMap<string, DType> {
    return new Map(Object.entries(this.#user.castFrom ?? {}));
  }

  /** The code that the model was made by, where it was kept. Text, which nothing here runs. */
  get modelCode(): ModelCode | undefined {
    return asModelCode(this.#user.modelCode);
  }

  /** Whether {@link verify} has read every byte through this very handle. */
  get isVerified(): boolean {
    return this.#isVerified;
  }

  /**
   * Reads every byte and compares checksums.
   *
   * @throws CairnError `checksum_mismatch` that names the damaged tensors.
   */
  async verify(options: Work = {}): Promise<void> {
    checkOptions("verify()", options, WORK_OPTIONS);
    await this.#verify(options);
  }

  async #verify(options: Work): Promise<void> {
    while (!this.#isVerified) {
      try {
        await requireUndamaged(this.reader, this.#name, options);
        this.#isVerified = true;
      } catch (error) {
        if (!(error instanceof CairnError) || !await this.#turnToNextCopy()) throw error;
      }
    }
  }

  /** The state that was saved, without the tensors of the store. Typed arrays come back as their own kind. */
  async state(): Promise<HostState> {
    return await readState(this.reader, this.#trees.state);
  }

  /** What the user kept beside the state. */
  async clientState(): Promise<HostState> {
    return await readState(this.reader, this.#trees.clientState);
  }

  /** What is in the checkpoint, by path. Reads no data. The caller may change what it gets. */
  getManifest(): CheckpointManifest {
    return {
      tag: this.tag,
      step: this.step,
      metrics: { ...this.metrics },
      provenance: structuredClone(this.provenance),
      entries: listEntries(this.reader, this.#trees),
    };
  }

  /**
   * One object by its path in {@link getManifest}, `tensors/model.0.weight` or `state/loader/position`, and nothing
   * else of the file: a tensor as a host tensor, or whatever was saved there. It checks what it reads.
   *
   * @returns `into`, where that is given.
   * @throws CairnError `not_found` for an unknown path; TypeError for `into` that does not fit, or where there is no
   * tensor.
   */
  async readObject(path: string, options: ReadObjectOptions = {}): Promise<HostState | ArrayBufferView> {
    checkOptions("readObject()", options, READ_OBJECT_OPTIONS);
    return await readObject({ reader: this.reader, trees: this.#trees, from: this.#name }, path, options);
  }

  /**
   * What was saved under one key of the state, without an object to load it into. Reads only the tensors that are in
   * it.
   *
   * @throws CairnError `not_found` for a key that was not saved.
   */
  async stateFor(key: string): Promise<HostState> {
    return await this.readObject(objectPath("state", key)) as HostState;
  }

  /**
   * Loads tensors into a store, all of them or some, as they are or made to fit. Nothing in the store changes unless
   * the whole file is sound.
   *
   * @throws CairnError `state_mismatch` when `strict`, the default, and something does not fit; `checksum_mismatch`.
   */
  async loadInto(store: TensorStore, options: CheckpointLoadOptions = {}): Promise<LoadReport> {
    checkOptions("loadInto()", options, CHECKPOINT_LOAD_OPTIONS);
    return (await restore(this.source, { store }, options)).tensors;
  }

  /**
   * This checkpoint as `restore` sees it.
   *
   * @internal
   */
  get source(): RestoreSource {
    const view = (): JoinedView => this.#view;
    const isVerified = (): boolean => this.#isVerified;
    const title = (): string => this.#name;
    return {
      get reader() {
        return view().reader;
      },
      get isVerified() {
        return isVerified();
      },
      get title() {
        return title();
      },
      excludedTensors: this.excludedTensors,
      castFrom: this.castFrom,
      isOneFile: this.reader === this.#files.index && this.#otherCopies.length === 0,
      verify: (options = {}) => this.#verify(options),
      state: () => this.state(),
      onVerified: () => this.#isVerified = true,
      requireMappable: (store, options) => requireMappable(store, this.#view, options, this.#name),
    };
  }

  /** Closes its files. Closing twice is fine; reading afterwards throws `CairnError("closed")`. */
  async close(): Promise<void> {
    await this.reader.close();
    await this.#files.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** @returns Whether there was another one that could be opened. */
  async #turnToNextCopy(): Promise<boolean> {
    while (true) {
      const [open, ...rest] = this.#otherCopies;
      if (open === undefined) return false;
      this.#otherCopies = rest;
      try {
        const next = (await open()).forRank(this.#rank);
        await this.close();
        this.#files = next.#files;
        this.#view = next.#view;
        this.#path = next.path;
        return true;
      } catch (error) {
        if (!(error instanceof CairnError)) throw error;
      }
    }
  }

  get #name(): string {
    return `checkpoint "${this.tag}" (${this.path})`;
  }

  get #user(): UserFields {
    const { user } = this.reader.manifest;
    return typeof user === "object" && user !== null && Object.getPrototypeOf(user) === Object.prototype
      ? user as UserFields
      : {};
  }

  get #trees(): StateTrees {
    return { state: this.reader.manifest.state, clientState: this.#user.clientState };
  }
}
