import { checkOptions, type OptionNames } from "./options/options.ts";

/** What went wrong, as a stable string that callers can switch on. */
export type CairnErrorCode =
  // finding and using a GPU
  | "no_adapter"
  | "no_webgpu"
  | "device_lost"
  | "gpu_validation"
  | "out_of_memory"
  // reading containers
  | "not_a_container"
  | "invalid_container"
  | "truncated"
  | "checksum_mismatch"
  | "unsupported"
  | "limit_exceeded"
  // reading files of other formats
  | "invalid_file"
  // storage
  | "storage_failed"
  | "not_found"
  | "already_exists"
  | "disk_full"
  // checkpoints
  | "invalid_tag"
  | "no_checkpoint"
  | "commit_failed"
  | "not_saved"
  | "locked"
  | "state_mismatch"
  | "state_changed"
  // several processes
  | "rank_missing"
  | "rank_failed"
  // tensors and training
  | "shape_mismatch"
  | "dtype_mismatch"
  | "short_batch"
  | "non_finite"
  | "unknown_field"
  | "callback_failed"
  | "loader_failed"
  | "closed";

/** Where it went wrong. Every field is optional; messages repeat what matters for a reader. */
export interface CairnErrorDetails {
  /** The file, directory or address, as it can be opened. */
  path?: string;
  /** The call that failed: of the storage (`write`, `sync`), the GPU (`map`) or the engine (`commit`). */
  op?: string;
  /** The byte of the file at which it went wrong. */
  offset?: number;
  /** The full name of the tensor. */
  tensor?: string;
  /** The tag of the checkpoint. */
  tag?: string;
  /** What was exceeded, in the unit of {@link value}. */
  limit?: number;
  /** The processes of a group that it is about. */
  ranks?: readonly number[];
  /** What was found instead. */
  value?: unknown;
}

/** Options of {@link CairnError}. */
export interface CairnErrorOptions {
  /** Where it went wrong. `{}` unless given. */
  details?: CairnErrorDetails | undefined;
  /** The error that this one follows from: the runtime's, the driver's or the caller's. */
  cause?: unknown;
}

/** Every option of {@link CairnErrorOptions}. */
export const CAIRN_ERROR_OPTIONS: OptionNames<CairnErrorOptions> = { details: true, cause: true };

/**
 * The one error class of Cairn: something outside the caller's program is not as it has to be.
 * A caller's own mistake is a `TypeError` or `RangeError`, and an abort rethrows `signal.reason`.
 */
export class CairnError extends Error {
  /** The same in every copy of the package, where `instanceof` would say no. */
  override readonly name = "CairnError";
  /** What went wrong. */
  readonly code: CairnErrorCode;
  /** Where it went wrong. */
  readonly details: CairnErrorDetails;

  /**
   * An error for an engine or a storage of your own to throw. `message` says what was found, what was expected, and
   * what to do.
   */
  constructor(code: CairnErrorCode, message: string, options: CairnErrorOptions = {}) {
    checkOptions("CairnError()", options, CAIRN_ERROR_OPTIONS);
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}
