import { parseStrictJson } from "../../../base/canonical_json.ts";
import { CairnError } from "../../../base/errors.ts";
import { fileIdOfPart } from "../../../checkpoint/file/parts/part_files.ts";
import { nameOf } from "../../../storage/storage_path.ts";
import { type ShownKind, shownKind } from "../../shown_files.ts";
import { openCheckpointFile } from "../read/open_checkpoint.ts";
import { openSafetensorsFile } from "../read/open_safetensors_file.ts";
import type { OpenedFile } from "../read/opened_file.ts";
import { DroppedFiles } from "./dropped_files.ts";
import { type ReadableFiles, readOnlyStorage } from "./readable_files.ts";
import { RemoteFiles } from "./remote_files.ts";

/** A file that the page knows. */
export interface KnownFile {
  readonly path: string;
  readonly kind: ShownKind;
  readonly byteLength: number;
  readonly modifiedMs: number;
  readonly files: ReadableFiles;
  /** What is known of its content by now. */
  readonly opened: OpenedFile | Error | undefined;
}

/** What the server says it has. */
interface Listing {
  readonly title: string;
  readonly file: string | undefined;
  readonly isCut: boolean;
  readonly files: readonly Pick<KnownFile, "path" | "byteLength" | "modifiedMs">[];
}

/** All files that the page knows: those of its server, and those that were dropped on it. */
export class Library {
  /** What is served; `undefined` where the page came from a disk or a plain web server. */
  title: string | undefined;
  /** The one file that is served by itself. */
  onlyFile: string | undefined;
  /** Whether the server left some out. */
  isCut = false;
  /** Whether the server answered when it was asked last. */
  isReached = true;
  readonly #listeners = new Set<() => void>();
  readonly #known = new Map<string, KnownFile>();
  readonly #opening = new Map<string, Promise<OpenedFile>>();
  readonly #dropped = new DroppedFiles();
  readonly #base: URL;

  /** `base` is the address of the page. */
  constructor(base: URL) {
    this.#base = base;
  }

  /** Calls `listener` whenever something became known. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Without parts of checkpoints, in order of path. */
  get files(): readonly KnownFile[] {
    return [...this.#known.values()].sort((a, b) => a.path < b.path ? -1 : 1);
  }

  /** A file by its path. */
  file(path: string): KnownFile | undefined {
    return this.#known.get(path);
  }

  /** Asks the server what there is. Gives whether there is such a server. */
  async refresh(): Promise<boolean> {
    if (!this.#base.protocol.startsWith("http")) return false;
    let listing: Listing | undefined;
    try {
      listing = await fetchListing(new URL("list", this.#base));
    } catch {
      listing = undefined;
    }
    const wasReached = this.isReached;
    this.isReached = listing !== undefined;
    const hasChanged = listing !== undefined && this.#take(listing);
    if (hasChanged || wasReached !== this.isReached) this.#tell();
    return listing !== undefined;
  }

  /** Takes files that a person gave. Gives the paths of those that the page can show. */
  addDropped(files: readonly File[]): string[] {
    const added: string[] = [];
    for (const file of files) {
      const path = this.#dropped.add(file);
      const kind = shownKind(path) ?? "checkpoint";
      this.#put({ path, kind, byteLength: file.size, modifiedMs: file.lastModified, files: this.#dropped });
      added.push(path);
    }
    this.#tell();
    return added;
  }

  /** Opens a file of tensors, once. @throws CairnError what is wrong with it, which the file then has as well. */
  async open(path: string): Promise<OpenedFile> {
    const known = this.#known.get(path);
    if (known === undefined) throw new CairnError("not_found", `There is no ${path} here any more`);
    if (known.opened !== undefined && !(known.opened instanceof Error)) return known.opened;
    const opening = this.#opening.get(path) ?? openFile(known);
    this.#opening.set(path, opening);
    try {
      const opened = await opening;
      this.#settle(known, opened);
      return opened;
    } catch (error) {
      this.#settle(known, error instanceof Error ? error : new Error(String(error)));
      throw error;
    } finally {
      this.#opening.delete(path);
    }
  }

  #settle(known: KnownFile, opened: OpenedFile | Error): void {
    if (this.#known.get(known.path) !== known) return;
    this.#known.set(known.path, { ...known, opened });
    this.#tell();
  }

  /** Gives whether something is new. */
  #take({ title, file, isCut, files }: Listing): boolean {
    this.title = title;
    this.onlyFile = file;
    this.isCut = isCut;
    const remote = new RemoteFiles(new URL("files/", this.#base));
    const paths = new Set(files.map(({ path }) => path));
    let hasChanged = false;
    for (const [path, known] of this.#known) {
      if (known.files instanceof DroppedFiles || paths.has(path)) continue;
      this.#known.delete(path);
      hasChanged = true;
    }
    for (const { path, byteLength, modifiedMs } of files) {
      const kind = shownKind(path);
      if (kind === undefined || fileIdOfPart(nameOf(path)) !== undefined) continue;
      hasChanged = this.#put({ path, kind, byteLength, modifiedMs, files: remote }) || hasChanged;
    }
    return hasChanged;
  }

  /** Gives whether it is another one than before. */
  #put(file: Omit<KnownFile, "opened">): boolean {
    const before = this.#known.get(file.path);
    const isSame = before?.byteLength === file.byteLength && before.modifiedMs === file.modifiedMs;
    if (isSame) return false;
    this.#known.set(file.path, { ...file, opened: undefined });
    return true;
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

async function openFile({ path, kind, files }: KnownFile): Promise<OpenedFile> {
  const storage = readOnlyStorage(files);
  return kind === "safetensors"
    ? await openSafetensorsFile(storage, path)
    : await openCheckpointFile(storage, path);
}

async function fetchListing(url: URL): Promise<Listing | undefined> {
  const response = await fetch(url);
  if (!response.ok) return undefined;
  const json = parseStrictJson(await response.text(), "The server's list");
  const { title, file, isCut, files } = json as { [key: string]: unknown };
  if (typeof title !== "string" || !Array.isArray(files)) return undefined;
  const shown = files.filter((each): each is Listing["files"][number] => typeof each?.path === "string");
  return { title, file: typeof file === "string" ? file : undefined, isCut: isCut === true, files: shown };
}
