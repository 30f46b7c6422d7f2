import { CairnError } from "../../base/errors.ts";
import { FileStorage } from "../../storage/file_storage.ts";
import type { Storage } from "../../storage/storage.ts";
import { joinPath } from "../../storage/storage_path.ts";
import { Checkpoint } from "../file/checkpoint.ts";
import { LATEST_FILE, readLatestHint } from "./latest_hint.ts";
import {
  byAge,
  type Catalog,
  type CheckpointSummary,
  MOST_LOOKS,
  skipped,
  type SkippedCheckpoint,
  summarize,
} from "./summary.ts";
import { CHECKPOINT_EXTENSION, fileNameOf, tagOfFileName } from "../file/tags.ts";

/** What is known of one name. */
interface Known {
  readonly found: CheckpointSummary | SkippedCheckpoint;
  /** Of the file that was opened, where it was asked for. */
  readonly identity: string | undefined;
}

function couldNotBeRead(found: CheckpointSummary | SkippedCheckpoint): boolean {
  return "error" in found && found.error.code === "storage_failed";
}

/** Opens a checkpoint for its manifest. */
type OpenCheckpoint = (tag: string) => Promise<Checkpoint>;

/** How many directories are known by their paths at once, the last used ones. */
const MOST_DIRECTORIES = 16;

/**
 * By the storage that they are in; those of the file system by their paths, since each engine opens its own storage
 * there.
 */
const BY_STORAGE = new WeakMap<Storage, Map<string, KnownCheckpoints>>();
const BY_PATH = new Map<string, KnownCheckpoints>();

/**
 * What is known of the checkpoints in a directory, kept from one look to the next, so that a look costs what is new
 * since the last one. Engines of this process that write to one directory know the same.
 *
 * A save looks at names: a file that was replaced under its name is noticed where `latest` names it, and when it is
 * about to be removed. To know what is there now, the identity of each file is compared.
 */
export class KnownCheckpoints {
  readonly #storage: Storage;
  readonly #directory: string;
  readonly #known = new Map<string, Known>();
  #lastCommitted: string | undefined;
  #hasSeen = false;

  private constructor(storage: Storage, directory: string) {
    this.#storage = storage;
    this.#directory = directory;
  }

  static in(storage: Storage, directory: string): KnownCheckpoints {
    const isOnDisk = storage instanceof FileStorage;
    const path = isOnDisk ? storage.describe(directory) : directory;
    const all = isOnDisk ? BY_PATH : BY_STORAGE.get(storage) ?? new Map<string, KnownCheckpoints>();
    if (!isOnDisk) BY_STORAGE.set(storage, all);
    const known = all.get(path) ?? new KnownCheckpoints(storage, directory);
    // As the last one.
    all.delete(path);
    all.set(path, known);
    const [oldest] = all.keys();
    if (oldest !== undefined && all.size > MOST_DIRECTORIES) all.delete(oldest);
    return known;
  }

  /** Opens what is new among these names of the directory, and forgets what is not there any more. */
  async see(names: readonly string[]): Promise<void> {
    const hint = names.includes(LATEST_FILE)
      ? await readLatestHint(this.#storage, this.#directory)
      : undefined;
    // Another engine committed it, perhaps under a name that is known.
    if (hint !== undefined && hint !== this.#lastCommitted) this.forget(hint);
    await this.#update(names.map((name) => ({ name })), ({ found }) => !("error" in found), this.#openFile);
  }

  /** What there is now: opens what is another file than the one that was opened. */
  async lookNow(open: OpenCheckpoint = this.#openFile): Promise<Catalog> {
    for (let looks = 1;; looks++) {
      const entries = await this.#storage.list(this.#directory, {
        only: (name) => tagOfFileName(name) !== undefined,
      });
      // What could not be read may be readable by now: permissions and disks change without the file.
      const isSame = ({ identity, found }: Known, now: string | undefined): boolean =>
        identity !== undefined && identity === now && !couldNotBeRead(found);
      const hasVanished = await this.#update(entries, isSame, open);
      if (!hasVanished || looks === MOST_LOOKS) return this.catalog();
    }
  }

  /** As of the last look, and of what this process did since; `undefined` where there was none. */
  catalogBefore(): Catalog | undefined {
    return this.#hasSeen ? this.catalog() : undefined;
  }

  /** Remembers what was committed. */
  committed(summary: CheckpointSummary): void {
    this.#known.set(summary.tag, { found: summary, identity: undefined });
    this.#lastCommitted = summary.tag;
  }

  /** Looks at it anew the next time, as after it was written or removed. */
  forget(tag: string): void {
    this.#known.delete(tag);
  }

  /** The highest `order`, 0 where no checkpoint has one. */
  get highestOrder(): number {
    let highest = 0;
    for (const { found } of this.#known.values()) {
      if (!("error" in found)) highest = Math.max(highest, found.order ?? 0);
    }
    return highest;
  }

  /** File ids of the parts that are named, as far as it is known. */
  get partIds(): ReadonlySet<string> {
    const ids = new Set<string>();
    for (const { found } of this.#known.values()) {
      for (const id of "error" in found ? [] : found.partIds ?? []) ids.add(id);
    }
    return ids;
  }

  catalog(): Catalog {
    const checkpoints: CheckpointSummary[] = [];
    const unreadable: SkippedCheckpoint[] = [];
    for (const { found } of this.#known.values()) {
      if ("error" in found) unreadable.push(found);
      else checkpoints.push(found);
    }
    unreadable.sort((a, b) => (a.tag < b.tag ? -1 : 1));
    checkpoints.sort(byAge);
    return { checkpoints, unreadable };
  }

  /** @returns Whether something was gone again when it was to be opened. */
  async #update(
    entries: readonly { readonly name: string; readonly identity?: string }[],
    isKnown: (known: Known, identity: string | undefined) => boolean,
    open: OpenCheckpoint,
  ): Promise<boolean> {
    const there = new Map<string, string | undefined>();
    for (const { name, identity } of entries) {
      // What is known needs no second look at its name.
      const known = name.endsWith(CHECKPOINT_EXTENSION) ? name.slice(0, -CHECKPOINT_EXTENSION.length) : "";
      const tag = this.#known.has(known) ? known : tagOfFileName(name);
      if (tag !== undefined) there.set(tag, identity);
    }
    for (const tag of this.#known.keys()) if (!there.has(tag)) this.#known.delete(tag);
    let hasVanished = false;
    for (const [tag, identity] of there) {
      const known = this.#known.get(tag);
      if (known !== undefined && isKnown(known, identity)) continue;
      const found = await this.#look(tag, open);
      if (found === undefined) hasVanished = true;
      else this.#known.set(tag, { found, identity });
    }
    this.#hasSeen = true;
    return hasVanished;
  }

  async #look(
    tag: string,
    open: OpenCheckpoint,
  ): Promise<CheckpointSummary | SkippedCheckpoint | undefined> {
    try {
      return await summarize(() => open(tag));
    } catch (error) {
      this.#known.delete(tag);
      if (!(error instanceof CairnError)) throw error;
      return error.code === "not_found"
        ? undefined
        : skipped(tag, this.#storage.describe(this.#pathOf(tag)), error);
    }
  }

  readonly #openFile: OpenCheckpoint = (tag) => Checkpoint.open(this.#storage, this.#pathOf(tag), tag);

  #pathOf(tag: string): string {
    return joinPath(this.#directory, fileNameOf(tag));
  }
}
