import { hostError } from "./host_error.ts";

type FileSystem = typeof import("node:fs");
type Stats = import("node:fs").Stats;

/**
 * What is to be durable of a file: its bytes and its length, or also what else the system says of it, such as its
 * times.
 */
export type Synced = "data" | "all";

/** What the host's functions tell when they are done. */
type Done<T> = (error: Error | null, result: T) => void;

/** Files that something is asked of. They are not forgotten before it is done. */
const asked = new Set<OpenFile>();

let forgotten: FinalizationRegistry<() => void> | undefined;

/** Made at the first file, because importing a module does no work here. */
function forgottenFiles(): FinalizationRegistry<() => void> {
  return forgotten ??= new FinalizationRegistry((close) => close());
}

/** Adds up the time in which at least one of some things was under way. */
class BusyTime {
  ms = 0;
  #underWay = 0;
  #since = 0;

  async during<T>(work: () => Promise<T>): Promise<T> {
    if (this.#underWay++ === 0) this.#since = performance.now();
    try {
      return await work();
    } finally {
      if (--this.#underWay === 0) this.ms += performance.now() - this.#since;
    }
  }
}

/**
 * A file that is open, by its number. It is not the host's `FileHandle`, which ends a process in Bun when it is
 * forgotten: the number of one that is not referenced any more is given back silently.
 */
export class OpenFile {
  readonly #fs: FileSystem;
  readonly #fd: number;
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #writing = new BusyTime();
  readonly #syncing = new BusyTime();
  #isOpen = true;

  private constructor(fs: FileSystem, fd: number) {
    this.#fs = fs;
    this.#fd = fd;
    forgottenFiles().register(this, () => fs.close(fd, () => {}), this);
  }

  /** Opens a file with the host's flags. @throws the host's error, like all methods. */
  static async open(fs: FileSystem, path: string, flags: number, mode?: number): Promise<OpenFile> {
    const fd = await promised<number>((done) => fs.open(path, flags, mode, done));
    return new OpenFile(fs, fd);
  }

  /** Milliseconds of its writes and its syncs so far. */
  get times(): { readonly writeMs: number; readonly syncMs: number } {
    return { writeMs: this.#writing.ms, syncMs: this.#syncing.ms };
  }

  async stat(): Promise<Stats> {
    return await this.ask<Stats>((fd, done) => this.#fs.fstat(fd, done));
  }

  /** Fills a part of `into` and says how many bytes; 0 at the end of the file. */
  async read(into: Uint8Array, position: number): Promise<number> {
    return await this.ask<number>((fd, done) => this.#fs.read(fd, into, 0, into.byteLength, position, done));
  }

  /** Like {@link OpenFile.read}, on this very thread. */
  readHere(into: Uint8Array, position: number): number {
    this.#requireOpen();
    return this.#fs.readSync(this.#fd, into, 0, into.byteLength, position);
  }

  /** Writes a part of `bytes` and says how many. */
  async write(bytes: Uint8Array, position: number): Promise<number> {
    return await this.#writing.during(() =>
      this.ask<number>((fd, done) => this.#fs.write(fd, bytes, 0, bytes.byteLength, position, done))
    );
  }

  /** Resolves when what was written by then is durable. A failed sync is final. */
  async sync(synced: Synced = "all"): Promise<void> {
    await this.#syncing.during(() =>
      this.ask<void>((fd, done) => {
        if (synced === "all") this.#fs.fsync(fd, (error) => done(error));
        else this.#fs.fdatasync(fd, (error) => done(error));
      })
    );
  }

  /** Has a function of the host work on the descriptor. The file stays open until that is done. */
  async ask<T>(call: (fd: number, done: Done<T>) => void): Promise<T> {
    this.#requireOpen();
    const answer = promised<T>((done) => call(this.#fd, done));
    this.#underWay.add(answer);
    asked.add(this);
    try {
      return await answer;
    } finally {
      this.#underWay.delete(answer);
      if (this.#underWay.size === 0) asked.delete(this);
    }
  }

  /** Closes it, once, when what is asked of it is done: its number may be another file's at once. */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    forgottenFiles().unregister(this);
    await Promise.allSettled(this.#underWay);
    await promised<void>((done) => this.#fs.close(this.#fd, (error) => done(error ?? null)));
  }

  #requireOpen(): void {
    if (!this.#isOpen) throw hostError("EBADF");
  }
}

function promised<T>(call: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, result) => error === null || error === undefined ? resolve(result) : reject(error));
  });
}
