import { ContainerReader } from "../container/container_reader.ts";
import type { Provenance } from "../container/manifest.ts";
import type { StateValue } from "../container/state_tree.ts";
import type { Storage } from "../storage/storage.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";
import { CairnError } from "../base/errors.ts";
import type { UserFields } from "./frozen_checkpoint.ts";
import { type HostState, thawState } from "./host_state.ts";
import { loadInto, type LoadIntoOptions } from "./load_into.ts";
import type { LoadReport } from "./load_report.ts";
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
  /** Full name, for people and for messages. */
  readonly path: string;
  readonly tag: string;
  readonly reader: ContainerReader;
  #isVerified = false;

  private constructor(path: string, tag: string, reader: ContainerReader) {
    this.path = path;
    this.tag = tag;
    this.reader = reader;
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
    if (this.#isVerified) return;
    await requireUndamaged(this.reader, this.#name, options);
    this.#isVerified = true;
  }

  /** The state that was saved, without the tensors of the store. Typed arrays come back as their own kind. */
  async state(): Promise<HostState> {
    return await this.#thaw(this.reader.manifest.state);
  }

  /** What the user kept beside the state. */
  async clientState(): Promise<HostState> {
    return await this.#thaw(this.#user.clientState);
  }

  /** Loads tensors into a store; see {@link loadInto}. Nothing in the store changes unless the whole file is sound. */
  async loadInto(store: TensorStore, options: CheckpointLoadOptions = {}): Promise<LoadReport> {
    const report = await loadInto(store, this.reader, {
      ...options,
      excused: this.excludedTensors,
      verify: !this.#isVerified,
      from: this.#name,
    });
    this.#isVerified = true;
    return report;
  }

  async close(): Promise<void> {
    await this.reader.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
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

  async #thaw(value: StateValue): Promise<HostState> {
    return await thawState(value, async (name) => {
      const { dtype, shape } = this.reader.tensor(name);
      return { dtype, shape, bytes: await this.reader.read(name) };
    });
  }
}
