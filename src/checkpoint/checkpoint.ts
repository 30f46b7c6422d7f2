import { ContainerReader } from "../container/container_reader.ts";
import type { Provenance } from "../container/manifest.ts";
import type { Storage } from "../storage/storage.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";
import { CairnError } from "../base/errors.ts";
import type { UserFields } from "./frozen_checkpoint.ts";
import type { HostState } from "./host_state.ts";
import { loadInto, type LoadIntoOptions } from "./load_into.ts";
import type { LoadReport } from "./load_report.ts";
import { type CheckpointManifest, listEntries, objectPath, type StateTrees } from "./object_path.ts";
import { readObject, type ReadObjectOptions, readState } from "./read_object.ts";
import { openSource } from "./storage_source.ts";
import { stepOfTag } from "./tags.ts";
import { requireUndamaged } from "./undamaged.ts";

/** Options of reading a checkpoint. */
export interface CheckpointReadOptions {
  readonly signal?: AbortSignal;
  /** Called after each chunk with raw bytes. */
  readonly onProgress?: (progress: { done: number; total: number }) => void;
}

/** Options of {@link Checkpoint.loadInto}: those of `loadInto` that a checkpoint does not know itself. */
export type CheckpointLoadOptions = Omit<LoadIntoOptions, "verify" | "from" | "excused">;

/** A checkpoint on disk, open: its tables are checked, its data is read when asked for. Close it when done. */
export class Checkpoint {
  readonly tag: string;
  #path: string;
  #reader: ContainerReader;
  #otherCopies: readonly (() => Promise<Checkpoint>)[] = [];
  #isVerified = false;

  private constructor(path: string, tag: string, reader: ContainerReader) {
    this.tag = tag;
    this.#path = path;
    this.#reader = reader;
  }

  /**
   * Opens a file of a storage.
   *
   * @throws CairnError `not_found`, or what is wrong with the file, with the tag and the path in its message.
   */
  static async open(storage: Storage, path: string, tag: string, signal?: AbortSignal): Promise<Checkpoint> {
    const full = storage.describe(path);
    const source = await openSource(storage, path);
    try {
      const reader = await ContainerReader.open(source, signal === undefined ? {} : { signal });
      return new Checkpoint(full, tag, reader);
    } catch (error) {
      await source.close();
      if (!(error instanceof CairnError)) throw error;
      throw new CairnError(error.code, `Cannot load checkpoint "${tag}" (${full}): ${error.message}`, {
        details: { ...error.details, tag, path: full },
        cause: error,
      });
    }
  }

  /** Full name, for people and for messages. */
  get path(): string {
    return this.#path;
  }

  get reader(): ContainerReader {
    return this.#reader;
  }

  /**
   * Makes {@link verify} and {@link loadInto} go on with another copy of the checkpoint when this one is damaged.
   *
   * @param others Ways to open them, in the order in which they are to be tried.
   */
  withCopies(others: readonly (() => Promise<Checkpoint>)[]): this {
    this.#otherCopies = others;
    return this;
  }

  get provenance(): Provenance {
    return this.reader.manifest.provenance;
  }

  get metrics(): Readonly<Record<string, number>> {
    return this.reader.manifest.metrics;
  }

  /** The optimiser step it was saved at, as its tag or else its provenance says. */
  get step(): number | undefined {
    return stepOfTag(this.tag) ?? this.provenance.step;
  }

  /** Names of tensors that were left out on purpose when it was saved. */
  get excludedTensors(): readonly string[] {
    return this.#user.excludedTensors ?? [];
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
  async verify(options: CheckpointReadOptions = {}): Promise<void> {
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
   * One object by its path in {@link getManifest}, `tensors/model.0.weight` or `state/loader/position`, and nothing else of the
   * file: a tensor as a host tensor, or whatever was saved there. It checks what it reads.
   *
   * @returns `into`, where that is given.
   * @throws CairnError `not_found` for an unknown path; TypeError for `into` that does not fit, or where there is no tensor.
   */
  async readObject(path: string, options: ReadObjectOptions = {}): Promise<HostState | ArrayBufferView> {
    return await readObject({ reader: this.reader, trees: this.#trees, from: this.#name }, path, options);
  }

  /**
   * What was saved under one key of the state, without an object to load it into. Reads only the tensors that are in it.
   *
   * @throws CairnError `not_found` for a key that was not saved.
   */
  async stateFor(key: string): Promise<HostState> {
    return await this.readObject(objectPath("state", key)) as HostState;
  }

  /**
   * Loads tensors into a store, all of them or some, as they are or made to fit. Nothing in the store changes unless the whole
   * file is sound.
   *
   * @throws CairnError `state_mismatch` when `strict`, the default, and something does not fit; `checksum_mismatch`.
   */
  async loadInto(store: TensorStore, options: CheckpointLoadOptions = {}): Promise<LoadReport> {
    if (this.#otherCopies.length > 0 && options.dryRun !== true) await this.verify(options);
    const report = await loadInto(store, this.reader, {
      ...options,
      excused: this.excludedTensors,
      verify: !this.#isVerified,
      from: this.#name,
    });
    this.#isVerified ||= options.dryRun !== true;
    return report;
  }

  async close(): Promise<void> {
    await this.reader.close();
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
        const next = await open();
        await this.#reader.close();
        this.#reader = next.reader;
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
