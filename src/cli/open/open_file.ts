import { CairnError } from "../../base/errors.ts";
import { FILE_KIND_BYTES, type FileKind, fileKind } from "../../base/file_kind.ts";
import { openSource } from "../../checkpoint/file/storage_source.ts";
import { CHECKPOINT_EXTENSION } from "../../checkpoint/file/tags.ts";
import { INDEX_EXTENSION } from "../../exchange/safetensors/safetensors_shards.ts";
import { locate, type Place } from "./locate.ts";
import { openContainerFile } from "./open_container.ts";
import { openNpyFile, openSafetensorsFile, openZipFile } from "./open_foreign.ts";
import type { OpenedFile } from "./opened_file.ts";

/**
 * Opens what `location` means, see `locate`, by what its bytes are and not by its name. Tables and headers are read,
 * and no tensor.
 *
 * @throws CairnError `not_found`, `unsupported` for a kind that nothing here reads, what is wrong with the file.
 */
export async function openFile(location: string): Promise<OpenedFile> {
  return await openPlace(await locate(location));
}

/** As {@link openFile}, of a file that was located. What goes wrong while it is read says which file it was. */
export async function openPlace(place: Place): Promise<OpenedFile> {
  const file = await openByKind(place);
  return {
    ...file,
    async *pieces(name) {
      try {
        yield* file.pieces(name);
      } catch (error) {
        if (!(error instanceof CairnError)) throw error;
        throw new CairnError(error.code, `In "${place.label}": ${error.message}`, {
          details: { ...error.details, path: place.label },
          cause: error,
        });
      }
    },
  };
}

async function openByKind(place: Place): Promise<OpenedFile> {
  const { kind, byteLength } = await kindOf(place);
  switch (kind?.format) {
    case "cairn":
      return await openCairn(place, byteLength);
    case "safetensors":
      return await openSafetensorsFile(place, byteLength);
    case "zip":
      return await openZipFile(place);
    case "npy":
      return await openNpyFile(place);
    case "json":
      if (place.path.endsWith(INDEX_EXTENSION)) return await openSafetensorsFile(place, byteLength);
      break;
    default:
      // A file that lost its first bytes is a damaged checkpoint by its name, and the reader says so.
      if (place.path.endsWith(CHECKPOINT_EXTENSION)) return await openCairn(place, byteLength);
  }
  const what = kind === undefined
    ? "nothing that is known by its first bytes"
    : kind.text.replace(/;.*$/, "");
  throw new CairnError(
    "unsupported",
    `Cannot open "${place.label}": it is ${what}; expected a .cairn, safetensors, npz, npy or PyTorch file`,
    { details: { path: place.label } },
  );
}

async function kindOf(place: Place): Promise<{ kind: FileKind | undefined; byteLength: number }> {
  const source = await openSource(place.storage, place.path);
  try {
    const head = new Uint8Array(Math.min(FILE_KIND_BYTES, source.byteLength));
    await source.read(0, head);
    return { kind: fileKind(head), byteLength: source.byteLength };
  } finally {
    await source.close();
  }
}

async function openCairn(place: Place, byteLength: number): Promise<OpenedFile> {
  try {
    return await openContainerFile(place, byteLength);
  } catch (error) {
    if (!(error instanceof CairnError)) throw error;
    throw new CairnError(error.code, `Cannot open "${place.label}": ${error.message}`, {
      details: { ...error.details, path: place.label },
      cause: error,
    });
  }
}
