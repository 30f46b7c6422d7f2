import type { OptionNames } from "../base/options/options.ts";

/** One entry of a directory. Anything that is neither a plain file nor a directory (a link, a device) is `other`. */
export interface StorageEntry {
  /** Its last segment, without the directory. */
  readonly name: string;
  /** What it is; links are not followed. */
  readonly kind: "file" | "directory" | "other";
  /** Of a file; 0 of anything else. */
  readonly byteLength: number;
  /** Time of the last change, in milliseconds since 1970. */
  readonly modifiedMs: number;
  /**
   * What tells a file from another one that has its name later, and from itself with other bytes. Absent where
   * nothing does.
   */
  readonly identity?: string;
}

/** Options of {@link Storage.list}. */
export interface ListOptions {
  /**
   * Which entries are looked at; a storage may leave the others out, so that nothing is asked about them. All unless
   * given.
   */
  readonly only?: ((name: string) => boolean) | undefined;
}

/** Every option of {@link ListOptions}. */
export const LIST_OPTIONS: OptionNames<ListOptions> = { only: true };

/** A file being written, from its start to its end. */
export interface StorageWriter {
  /**
   * How many bytes are durable a second later, as far as that was measured, syncs included. The mode `fast` goes by
   * it.
   */
  readonly durableBytesPerSecond?: number | undefined;
  /** Whether `write` takes bytes that are shared between threads as well as any other. */
  readonly takesShared?: boolean;
  /** Says about how many bytes will come, before the first, so that what takes time for large files begins early. */
  expect?(byteLength: number): void;
  /**
   * Appends a part of `bytes`, which may change again when it resolves, and says how many it took: 1 to
   * `bytes.byteLength`, or 0 when it can take no more. They need not be written by then: what goes wrong may be
   * thrown by a later `write`, or by `sync`.
   */
  write(bytes: Uint8Array): Promise<number>;
  /** Resolves when everything written so far is durable. A failed sync is final: never call it again on this file. */
  sync(): Promise<void>;
  /** Closes the file, which stays as far as it was written. It is durable only as far as it was synced. */
  close(): Promise<void>;
}

/** A file being read. Its length is the one it had when it was opened. */
export interface StorageReader {
  /** Length when it was opened. */
  readonly byteLength: number;
  /** How much is best read at once, where that is known: more where each read takes long to begin. */
  readonly preferredReadBytes?: number | undefined;
  /** Whether `read` fills memory that is shared between threads as well as any other. */
  readonly fillsShared?: boolean;
  /** Fills a part of `into` from `offset` and says how many bytes it got; 0 only at or past the end. */
  read(offset: number, into: Uint8Array): Promise<number>;
  /** Closes the file. */
  close(): Promise<void>;
}

/** What {@link Storage.move} may do with a file that already has the new name. */
export interface MoveOptions {
  /** `true` (the default) replaces it in one step; `false` throws `already_exists` and changes nothing. */
  readonly replace?: boolean | undefined;
}

/** Every option of {@link MoveOptions}. */
export const MOVE_OPTIONS: OptionNames<MoveOptions> = { replace: true };

/**
 * Where files live: primitives only. The durable protocol stands above them, in `DurableFile`.
 *
 * Paths are relative to the storage, with "/" between segments; see `checkFilePath` for what they may hold. A bad
 * path is a `TypeError` before anything is touched. Every other failure is a `CairnError` with the code `not_found`,
 * `already_exists`, `disk_full` or `storage_failed`, with `details.op` and `details.path`, and the host's error as
 * `cause`.
 */
export interface Storage {
  /** The full name of `path`, for messages. */
  describe(path: string): string;
  /** The entries of a directory (`""` is the root) in order of name; none when there is no such directory. */
  list(directory: string, options?: ListOptions): Promise<StorageEntry[]>;
  /** Only the names of these, without a look at each entry. Not needed: where it is missing, `list` is asked. */
  names?(directory: string): Promise<string[]>;
  /** Creates a directory and those above it, durably: the parent of each new directory is synced. */
  makeDirectory(directory: string): Promise<void>;
  /** Creates a file that was not there, without following links. Its directory has to exist. */
  createExclusive(path: string): Promise<StorageWriter>;
  /**
   * Opens a plain file to be written behind what it has, or creates it, without following links. Its directory has to
   * exist. What `write` took can be read at once. Not needed: only logs ask for it, which refuse a storage without it.
   */
  openAppend?(path: string): Promise<StorageWriter>;
  /**
   * Cuts a plain file that nobody writes to down to its first `byteLength` bytes; a `RangeError` where it has fewer.
   * Not needed, as `openAppend`.
   */
  truncate?(path: string, byteLength: number): Promise<void>;
  /** Opens a plain file, without following links. */
  openRead(path: string): Promise<StorageReader>;
  /** Renames a file in one step, so that a reader sees the old one or the new one. Durable after `syncDirectory`. */
  move(from: string, to: string, options?: MoveOptions): Promise<void>;
  /** Removes a file. */
  remove(path: string): Promise<void>;
  /** Resolves when the names in `directory` are durable. */
  syncDirectory(directory: string): Promise<void>;
  /**
   * Takes a directory over, under a token of this call's own: an object of this class that has claimed it before can
   * change no file there any more that others see, and gets `locked`. Gives what ends that claim for this process. Not
   * needed: a storage without it cannot keep out a process that believes to have a lock still.
   */
  claim?(directory: string, token: string): Promise<() => void>;
  /** Bytes free for new files, where the storage can tell. `undefined` holds up no save, 0 means full. */
  freeBytes(directory: string): Promise<number | undefined>;
}
