import { crc32 } from "../../src/base/crc32/crc32.ts";
import { BlockWriter, type PositionedFile } from "../../src/storage/block_writer.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { MoveOptions, StorageWriter } from "../../src/storage/storage.ts";
import { directoryOf } from "../../src/storage/storage_path.ts";
import { WrappedStorage } from "./wrapped_storage.ts";

/** A disk after a power cut: what each name stands for. */
export type DiskImage = ReadonlyMap<string, Uint8Array>;

/**
 * What a file system keeps of names that were not synced. `ordered`: the first of the changes, in their order, as a
 * journal does. `weak`: any of them, which is all that POSIX promises.
 */
export type MetadataModel = "ordered" | "weak";

interface DiskFile {
  synced: Uint8Array;
  unsynced: Uint8Array[];
}

interface NameChange {
  readonly directory: string;
  readonly sets?: readonly [path: string, file: DiskFile];
  readonly clears?: string;
}

/** Where a write that was under way can be cut: around nothing, sectors and pages. */
const TORN = [0, 1, 511, 512, 4095, 4096];
const MOST_SUBSETS = 512;

/** How a file is written in blocks, and synced whenever so many bytes more are there. */
export interface InPieces {
  readonly blockBytes: number;
  readonly pieceBytes: number;
}

/** A storage that knows what is durable, and lists the disks that a power cut at this moment could leave behind. */
export class CrashStorage extends WrappedStorage {
  readonly #files = new Map<string, DiskFile>();
  readonly #durable = new Map<string, DiskFile>();
  readonly #inPieces: InPieces | undefined;
  #changes: NameChange[] = [];

  /**
   * @param inPieces Has each file go through a `BlockWriter`, as files of a real disk do; as it comes, unless given.
   */
  constructor(inPieces?: InPieces) {
    super(new MemoryStorage());
    this.#inPieces = inPieces;
  }

  /** A storage that was there before, all of it durable. */
  static async from(image: DiskImage, inPieces?: InPieces): Promise<CrashStorage> {
    const storage = new CrashStorage(inPieces);
    for (const [path, content] of image) {
      await storage.makeDirectory(directoryOf(path));
      const writer = await storage.createExclusive(path);
      for (let at = 0; at < content.byteLength;) at += await writer.write(content.subarray(at));
      await writer.sync();
      await writer.close();
      await storage.syncDirectory(directoryOf(path));
    }
    return storage;
  }

  /**
   * The disks that a power cut could leave: every subset of the unsynced changes that the model allows, with every
   * unsynced write there, missing or torn. Above `most` of them a random choice.
   */
  *images(model: MetadataModel, most: number, random: () => number): Generator<DiskImage> {
    const contents = new Map<DiskFile, Uint8Array[]>();
    for (const changes of choices(this.#changes, model, random)) {
      const names = new Map(this.#durable);
      for (const { sets, clears } of changes) {
        if (clears !== undefined) names.delete(clears);
        if (sets !== undefined) names.set(...sets);
      }
      const variants = [...names].map(([path, file]) => {
        const known = contents.get(file) ?? contentsOf(file, model, random);
        contents.set(file, known);
        return [path, known] as const;
      });
      const total = variants.reduce((product, [, known]) => product * known.length, 1);
      for (let i = 0; i < Math.min(total, most); i++) {
        let rest = total > most ? Math.floor(random() * total) : i;
        const image = new Map<string, Uint8Array>();
        for (const [path, known] of variants) {
          image.set(path, known[rest % known.length] as Uint8Array);
          rest = Math.floor(rest / known.length);
        }
        yield image;
      }
    }
  }

  override async createExclusive(path: string): Promise<StorageWriter> {
    const writer = await super.createExclusive(path);
    const file: DiskFile = { synced: new Uint8Array(0), unsynced: [] };
    this.#files.set(path, file);
    this.#changes.push({ directory: directoryOf(path), sets: [path, file] });
    const onDisk: StorageWriter = {
      write: async (bytes) => {
        const taken = await writer.write(bytes);
        file.unsynced.push(bytes.slice(0, taken));
        return taken;
      },
      sync: async () => {
        // What is written while the disk is at it may be missing.
        const before = file.unsynced.length;
        await writer.sync();
        file.synced = joined([file.synced, ...file.unsynced.slice(0, before)]);
        file.unsynced = file.unsynced.slice(before);
      },
      close: () => writer.close(),
    };
    return this.#inPieces === undefined ? onDisk : blockWise(onDisk, this.#inPieces);
  }

  override async move(from: string, to: string, options: MoveOptions = {}): Promise<void> {
    await super.move(from, to, options);
    const file = this.#files.get(from);
    if (file === undefined) throw new Error(`${from} is unknown`);
    this.#files.delete(from);
    this.#files.set(to, file);
    const directory = directoryOf(to);
    if (options.replace === false) {
      // A hard link under the new name, and then the old name goes: two changes.
      this.#changes.push({ directory, sets: [to, file] }, { directory, clears: from });
    } else this.#changes.push({ directory, sets: [to, file], clears: from });
  }

  override async remove(path: string): Promise<void> {
    await super.remove(path);
    this.#files.delete(path);
    this.#changes.push({ directory: directoryOf(path), clears: path });
  }

  override async syncDirectory(directory: string): Promise<void> {
    await super.syncDirectory(directory);
    for (const { sets, clears } of this.#changes.filter((change) => change.directory === directory)) {
      if (clears !== undefined) this.#durable.delete(clears);
      if (sets !== undefined) this.#durable.set(...sets);
    }
    this.#changes = this.#changes.filter((change) => change.directory !== directory);
  }
}

/** `writer` behind blocks, of which four may be under way, and with syncs of its own between them. */
function blockWise(writer: StorageWriter, { blockBytes, pieceBytes }: InPieces): StorageWriter {
  let end = 0;
  const file: PositionedFile = {
    times: { writeMs: 0, syncMs: 0 },
    write: (bytes, position) => {
      if (position !== end) throw new Error(`a block for ${position} came, expected one for ${end}`);
      end += bytes.byteLength;
      return writer.write(bytes);
    },
    sync: () => writer.sync(),
    close: () => writer.close(),
  };
  return new BlockWriter(file, {
    openDirect: () => Promise.resolve(undefined),
    memory: {
      take: () => Array.from({ length: 4 }, () => new Uint8Array(blockBytes)),
      giveBack: () => {},
    },
    disk: { pieceBytes, measured: () => {} },
  });
}

/** The image as a storage that a program finds after the restart. */
export async function storageOf(image: DiskImage): Promise<MemoryStorage> {
  const storage = new MemoryStorage();
  for (const [path, content] of image) {
    await storage.makeDirectory(directoryOf(path));
    const writer = await storage.createExclusive(path);
    if (content.byteLength > 0) await writer.write(content);
    await writer.close();
  }
  return storage;
}

const checksums = new WeakMap<Uint8Array, number>();

/** Text that is the same for the same disk. */
export function imageKey(image: DiskImage): string {
  return [...image].map(([path, content]) => {
    const known = checksums.get(content) ?? crc32(content);
    checksums.set(content, known);
    return `${path} ${content.byteLength} ${known}`;
  }).sort().join("\n");
}

function choices(
  changes: readonly NameChange[],
  model: MetadataModel,
  random: () => number,
): (readonly NameChange[])[] {
  if (model === "ordered") {
    return Array.from({ length: changes.length + 1 }, (_, length) => changes.slice(0, length));
  }
  return subsets(changes.length, random).map((kept) => changes.filter((_, index) => kept[index]));
}

/** All subsets of `count` things; above 2^9 the first parts, all but one, and a random choice. */
function subsets(count: number, random: () => number): boolean[][] {
  if (2 ** count <= MOST_SUBSETS) {
    return Array.from(
      { length: 2 ** count },
      (_, bits) => Array.from({ length: count }, (_, i) => (bits >> i & 1) === 1),
    );
  }
  const found: boolean[][] = [];
  for (let at = 0; at <= count; at++) {
    found.push(
      Array.from({ length: count }, (_, i) => i < at),
      Array.from({ length: count }, (_, i) => i !== at),
    );
  }
  while (found.length < MOST_SUBSETS) found.push(Array.from({ length: count }, () => random() < 0.5));
  return found;
}

/** What the disk may have of a file: each unsynced write there or not, and the last one torn. */
function contentsOf(file: DiskFile, model: MetadataModel, random: () => number): Uint8Array[] {
  const { synced, unsynced } = file;
  if (unsynced.length === 0) return [synced];
  const found: Uint8Array[] = [];
  for (const kept of subsets(unsynced.length, random)) {
    const last = kept.lastIndexOf(true);
    if (last < 0) {
      found.push(synced);
      // The length was written, and the data was not.
      if (model === "weak") {
        found.push(joined([synced, ...unsynced.map((part) => new Uint8Array(part.byteLength))]));
      }
      continue;
    }
    const parts = unsynced.slice(0, last).map((part, i) => kept[i] ? part : new Uint8Array(part.byteLength));
    const final = unsynced[last] as Uint8Array;
    found.push(joined([synced, ...parts, final]));
    for (const cut of [...TORN, final.byteLength - 1]) {
      if (cut < final.byteLength) found.push(joined([synced, ...parts, final.subarray(0, cut)]));
    }
  }
  return found;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
