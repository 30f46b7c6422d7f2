import { allocate } from "../../base/allocate.ts";
import { crc32 } from "../../base/crc32/crc32.ts";
import { CairnError } from "../../base/errors.ts";
import { FileSource } from "../../storage/file_source.ts";
import { openStorage } from "../../storage/open_storage.ts";
import type { Storage } from "../../storage/storage.ts";
import type { ExampleMap } from "../example_map.ts";

/** A file in the folder of its class. */
export interface ClassFile {
  /** From the folder of all classes: `cats/1.png`. */
  readonly path: string;
  /** All of it. */
  readonly bytes: Uint8Array;
  /** The number of its class among {@link ClassFolders.classes}. */
  readonly label: number;
}

/** Files in a folder for each class. */
export interface ClassFolders extends ExampleMap<ClassFile> {
  /** Names of the folders, in their order: the classes. */
  readonly classes: readonly string[];
  /** The label of each file, for `balancedSampler`. */
  readonly classLabels: Uint32Array;
}

/**
 * The files of a folder that has a folder for each class, as images often lie, for a `MapLoader` whose `transform`
 * decodes them. A file is read when it is asked for. Names that begin with a dot are left out.
 *
 * @param location A path, a `file:` URL, or a `Storage`.
 * @throws CairnError `not_found` where there is no file in a folder of a class.
 */
export async function openClassFolders(location: string | URL | Storage): Promise<ClassFolders> {
  const storage = typeof location === "string" || location instanceof URL
    ? await openStorage(location)
    : location;
  const isShown = (name: string): boolean => !name.startsWith(".");
  const folders = (await storage.list("")).filter(({ name, kind }) => kind === "directory" && isShown(name));
  const classes = folders.map(({ name }) => name).sort();
  const files: { path: string; label: number; byteLength: number }[] = [];
  for (const [label, folder] of classes.entries()) {
    const entries = (await storage.list(folder)).filter(({ name, kind }) => kind === "file" && isShown(name));
    for (const { name, byteLength } of entries) files.push({ path: `${folder}/${name}`, label, byteLength });
  }
  if (files.length === 0) {
    const found = storage.describe("");
    throw new CairnError(
      "not_found",
      `There is no file in a folder of "${found}"; give one a folder for each class`,
      {
        details: { path: found },
      },
    );
  }
  const names = files.map(({ path, byteLength }) => `${path} ${byteLength}`).join("\n");
  return {
    length: files.length,
    classes,
    classLabels: Uint32Array.from(files, ({ label }) => label),
    async get(index): Promise<ClassFile> {
      const { path, label } = files[index] ?? { path: "", label: 0 };
      return { path, bytes: await readAll(storage, path), label };
    },
    describe: () => ({
      name: "classFolders",
      files: files.length,
      list: crc32(new TextEncoder().encode(names)),
    }),
  };
}

async function readAll(storage: Storage, path: string): Promise<Uint8Array> {
  const source = new FileSource(await storage.openRead(path), storage.describe(path));
  try {
    const bytes = allocate(source.byteLength);
    await source.read(0, bytes);
    return bytes;
  } finally {
    await source.close();
  }
}
