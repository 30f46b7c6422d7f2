import { CairnError } from "../base/errors.ts";

/**
 * A `Blob`, such as a file that a user chose or dropped in a browser, as a source for a `ContainerReader`. Only what
 * is read is loaded.
 */
export class BlobSource {
  /** Of the blob, when the source was made. */
  readonly byteLength: number;
  readonly #blob: Blob;

  /** A source over `blob`. Nothing is read yet. */
  constructor(blob: Blob) {
    this.byteLength = blob.size;
    this.#blob = blob;
  }

  /**
   * Fills all of `into`.
   * @throws CairnError `truncated` past the end; `storage_failed` where the file behind the blob is gone or has
   * changed.
   */
  async read(offset: number, into: Uint8Array): Promise<void> {
    const end = offset + into.byteLength;
    if (end > this.byteLength) throw truncated(offset, end, this.byteLength);
    let bytes: ArrayBuffer;
    try {
      bytes = await this.#blob.slice(offset, end).arrayBuffer();
    } catch (cause) {
      throw new CairnError(
        "storage_failed",
        `Cannot read bytes ${offset} to ${end} of the blob; the file behind it may have changed: choose it again`,
        { details: { op: "read", offset }, cause },
      );
    }
    if (bytes.byteLength !== into.byteLength) throw truncated(offset, end, offset + bytes.byteLength);
    into.set(new Uint8Array(bytes));
  }
}

function truncated(offset: number, end: number, byteLength: number): CairnError {
  return new CairnError(
    "truncated",
    `Cannot read bytes ${offset} to ${end} of a blob that has ${byteLength}`,
    {
      details: { op: "read", offset },
    },
  );
}
