import type { Work } from "../../src/base/work.ts";
import type { DType } from "../../src/base/dtype.ts";
import type { ContainerReader } from "../../src/container/read/container_reader.ts";
import type { TensorStore } from "../../src/tensor/tensor_store.ts";
import type { LoadReport } from "../../src/checkpoint/restore/load_report.ts";
import { restore, type RestoreSource } from "../../src/checkpoint/restore/restore.ts";
import type { PartialLoadOptions } from "../../src/checkpoint/restore/partial_load_options.ts";
import { requireUndamaged } from "../../src/checkpoint/file/undamaged.ts";

/** Options of {@link loadInto}. */
export interface LoadIntoOptions extends PartialLoadOptions, Work {
  /** Names of the store's groups to load; all of them unless given. */
  readonly groups?: readonly string[];
  /** Whether anything that does not fit is an error. Default true. */
  readonly strict?: boolean;
  /** Names that a strict load does not miss, because they were left out when the file was written. */
  readonly excused?: Iterable<string>;
  /**
   * By the file's names, the dtype that tensors had in memory which were written with another one. Those are cast
   * back.
   */
  readonly castFrom?: ReadonlyMap<string, DType>;
  /** Read all of the file and check it. Default true; false for a reader that was verified. */
  readonly verify?: boolean;
  /** What is being loaded, for messages: `checkpoint "step-100"`. */
  readonly from?: string;
}

/**
 * Loads the tensors of a container into a store, by name. Unless the whole file is sound, nothing in the store changes.
 *
 * @returns What was loaded and what did not fit; with `strict` nothing but `loaded` has entries.
 * @throws CairnError `state_mismatch` when `strict` and something does not fit; `checksum_mismatch` for a damaged file;
 * `device_lost`.
 */
export async function loadInto(
  store: TensorStore,
  reader: ContainerReader,
  options: LoadIntoOptions = {},
): Promise<LoadReport> {
  const { excused = [], castFrom = new Map(), verify = true, from: title = "the container" } = options;
  const source: RestoreSource = {
    reader,
    title,
    excludedTensors: excused,
    castFrom,
    isVerified: !verify,
    isOneFile: true,
    verify: (reading) => requireUndamaged(reader, title, reading),
    state: () => Promise.resolve(undefined),
    onVerified: () => {},
    requireMappable: () => {},
  };
  return (await restore(source, { store }, options)).tensors;
}
