import type { DType } from "../../../base/dtype.ts";
import type { HostState } from "../../../checkpoint/capture/state_types.ts";
import type { Provenance } from "../../../container/format/manifest.ts";
import type { StateValue } from "../../../container/format/state_tree.ts";
import type { Damage } from "../../../container/read/verify.ts";
import type { WorkProgress } from "../../../base/work.ts";
import type { NamedTensor } from "../numbers/tensor_tree.ts";

/** What a file says of a tensor. */
export interface ShownTensor extends NamedTensor {
  /** Absent where Cairn has no such dtype; such a tensor is listed and not read. */
  readonly dtype?: DType | undefined;
  /** The dtype in the format's own words. */
  readonly storedAs: string;
  /** Bytes in the file; of chunks that are shared, its part. */
  readonly storedBytes: number;
  /** Such as `planes`; none where the format has no codecs. */
  readonly codecs: readonly string[];
}

/** A file with tensors, open. */
export interface OpenedFile {
  readonly path: string;
  readonly format: "cairn" | "safetensors";
  /** Bytes of its chunks, as they are stored. */
  readonly storedBytes: number;
  /** Random, and another one whenever a file is written; only of a cairn file. */
  readonly fileId: string | undefined;
  readonly tensors: readonly ShownTensor[];
  readonly metrics: Readonly<Record<string, number>>;
  readonly provenance: Provenance;
  /** Names of the other files that it is made of. */
  readonly parts: readonly string[];
  /** What is kept beside the tensors, by what it is; references to tensors are not followed. */
  readonly trees: Readonly<Record<string, StateValue>>;
  /** The state of the run with its typed arrays; `undefined` where there is none. */
  state(): Promise<HostState>;
  /** Some bytes of a tensor, checked where the format has checksums. */
  readPart(name: string, start: number, end: number, signal?: AbortSignal): Promise<Uint8Array>;
  /** Reads every byte. `undefined` where the format has no checksums. */
  verify:
    | ((onProgress: (progress: WorkProgress) => void, signal: AbortSignal) => Promise<readonly Damage[]>)
    | undefined;
  close(): Promise<void>;
}
