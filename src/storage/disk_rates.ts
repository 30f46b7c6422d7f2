const MiB = 1024 * 1024;

/** Fewer bytes say nothing of a disk: what it takes is then the time that any sync takes. */
const LEAST_BYTES = 8 * MiB;
/**
 * So many bytes later, what was measured before counts half: a disk that changed is known before the end of a large
 * file.
 */
const HALF_LIFE_BYTES = 128 * MiB;
/** How long the sync of a piece may take: measured, what is encoded meanwhile fits into the blocks of a writer. */
const SYNC_MS = 16;
const FIRST_PIECE_BYTES = 32 * MiB;
const LEAST_PIECE_BYTES = 8 * MiB;
const MOST_PIECE_BYTES = 256 * MiB;

/** What a disk was asked for and how long it took. */
export interface DiskWork {
  readonly bytes: number;
  /** Milliseconds in which it was written to. */
  readonly writeMs: number;
  /** Milliseconds in which it made durable what was written. */
  readonly syncMs: number;
}

/**
 * How fast a disk makes bytes durable, from what was written to it lately. How fast a write returns says little: some
 * disks take the bytes at once and their time in the sync, others the other way round.
 */
export class DiskRates {
  #bytes = 0;
  #writeMs = 0;
  #syncMs = 0;

  /** Adds what was done to write and sync so many bytes. */
  measured({ bytes, writeMs, syncMs }: DiskWork): void {
    if (bytes < LEAST_BYTES) return;
    const kept = 2 ** (-bytes / HALF_LIFE_BYTES);
    this.#bytes = kept * this.#bytes + bytes;
    this.#writeMs = kept * this.#writeMs + writeMs;
    this.#syncMs = kept * this.#syncMs + syncMs;
  }

  /** Bytes that are durable a second later, writes and syncs together; `undefined` while that is not known. */
  get durableBytesPerSecond(): number | undefined {
    const ms = this.#writeMs + this.#syncMs;
    return ms > 0 ? 1000 * this.#bytes / ms : undefined;
  }

  /**
   * After how many bytes to sync, so that what is left for the end is done soon: fewer for a disk that takes long for
   * it.
   */
  get pieceBytes(): number {
    if (this.#bytes === 0) return FIRST_PIECE_BYTES;
    const bytes = this.#bytes * SYNC_MS / this.#syncMs;
    return Math.min(MOST_PIECE_BYTES, Math.max(LEAST_PIECE_BYTES, bytes));
  }
}

const disks = new Map<number, DiskRates>();

/** The rates of a device of the system, by its number (`dev`), which all files of this process share. */
export function ratesOfDisk(device: number): DiskRates {
  const known = disks.get(device) ?? new DiskRates();
  disks.set(device, known);
  return known;
}
