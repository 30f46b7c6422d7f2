import { CairnError, type CairnErrorCode } from "../base/errors.ts";
import { FILE_KIND_BYTES, fileKind, type KnownFormat } from "../base/file_kind.ts";
import type { ByteSource } from "../container/source.ts";

/** What is thrown for a file of another kind, when it is taken for one that is damaged. */
const CODES: readonly CairnErrorCode[] = ["truncated", "invalid_file", "limit_exceeded", "unsupported"];

/**
 * What `open` gives. When it takes the file for damaged, and the file is one of another kind altogether, the error
 * says which: a git-lfs pointer, an HTML page, an empty file, a file of another format.
 *
 * @param what Such as `"npy file"`, for the message.
 * @param own The format that `open` is for.
 */
export async function explainKind<Opened>(
  source: ByteSource,
  what: string,
  own: KnownFormat,
  open: () => Promise<Opened>,
): Promise<Opened> {
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof CairnError) || !CODES.includes(error.code)) throw error;
    const head = new Uint8Array(Math.min(FILE_KIND_BYTES, source.byteLength));
    await source.read(0, head);
    const kind = fileKind(head);
    if (kind === undefined || kind.format === own) throw error;
    // A file without bytes, or of zeros, is no other kind but this one and nothing left of it.
    const isDamage = head.every((byte) => byte === 0);
    const message = isDamage
      ? `${error.message}; it is ${kind.text}`
      : `This is no ${what}: it is ${kind.text}`;
    const code = isDamage ? error.code : kind.format === "pickle" ? "unsupported" : "invalid_file";
    throw new CairnError(code, message, { details: error.details, cause: error });
  }
}
