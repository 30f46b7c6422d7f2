import { CairnError } from "../../base/errors.ts";
import type { StorageReader } from "../storage.ts";
import type { LoggedFile } from "./log_entry.ts";
import type { S3Client } from "./s3_client.ts";
import { headOf, readRange } from "./s3_objects.ts";

/** Read when a file is opened: all of a small one. */
const HEAD_BYTES = 64 * 1024;
/** A request takes about as long as some megabytes do. */
const PREFERRED_READ_BYTES = 8 * 1024 * 1024;

/** The bytes of a file, by ranges; `undefined` where its object is gone. @throws CairnError `truncated`. */
export async function openLogged(
  client: S3Client,
  { key, byteLength }: Pick<LoggedFile, "key" | "byteLength">,
  name: string,
): Promise<StorageReader | undefined> {
  const head = await headOf(client, key, HEAD_BYTES);
  if (head === undefined) return undefined;
  if (head.byteLength !== byteLength) {
    throw new CairnError(
      "truncated",
      `Cannot read "${name}": its object ${
        client.describe(key)
      } has ${head.byteLength} bytes, expected ${byteLength}`,
      { details: { path: name, op: "read", value: head.byteLength, limit: byteLength } },
    );
  }
  return readerOf(client, key, head.bytes, byteLength);
}

/** The bytes of a small file; `undefined` where there is none. */
export async function openSmall(client: S3Client, key: string): Promise<StorageReader | undefined> {
  const head = await headOf(client, key, HEAD_BYTES);
  return head === undefined ? undefined : readerOf(client, key, head.bytes, head.byteLength);
}

function readerOf(client: S3Client, key: string, head: Uint8Array, byteLength: number): StorageReader {
  let isOpen = true;
  return {
    byteLength,
    preferredReadBytes: PREFERRED_READ_BYTES,
    read: async (offset, into) => {
      const path = client.describe(key);
      if (!isOpen) {
        throw new CairnError("closed", `Cannot read "${path}": it was closed`, { details: { path } });
      }
      const count = Math.max(0, Math.min(into.byteLength, byteLength - offset));
      const part = into.subarray(0, count);
      if (offset + count <= head.byteLength) part.set(head.subarray(offset, offset + count));
      else if (count > 0) await readRange(client, key, offset, part);
      return count;
    },
    close: () => {
      isOpen = false;
      return Promise.resolve();
    },
  };
}
