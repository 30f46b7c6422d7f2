import { CairnError } from "../../base/errors.ts";
import { randomHex } from "../../base/hex.ts";
import type { S3Client, S3Request } from "./s3_client.ts";
import { checksumOf, deleteObject, putObject } from "./s3_objects.ts";

/** Where it is tried, below the prefix. */
export const PROBE_PREFIX = "probe/";

/**
 * Tries whether the store refuses to create an object that is there. Without that, two writers could commit under one
 * number, and one would lose its checkpoint.
 *
 * @throws CairnError `unsupported` that names the store.
 */
export async function requireConditionalWrites(client: S3Client): Promise<void> {
  // Where this process slept in between, the object may have been collected: then the name was free.
  const status = await statusOfSecond(client) === 412 ? 412 : await statusOfSecond(client);
  if (status === 412) return;
  const found = status === 200 ? "takes a name twice" : `answers ${status}`;
  const path = client.describe("");
  throw new CairnError(
    "unsupported",
    `Cannot save to "${path}": the store ${client.store} ${found}, expected 412 for If-None-Match: "*" on an object ` +
      "that is there; two writers could lose each other's checkpoints. Use a store with conditional writes, or a " +
      "directory",
    { details: { op: "probe", path, value: status } },
  );
}

/** What the store answers to creating an object for the second time. */
async function statusOfSecond(client: S3Client): Promise<number> {
  const key = `${PROBE_PREFIX}${randomHex(8)}`;
  const body = new TextEncoder().encode("Whether a name that is taken can be taken again.\n");
  await putObject(client, key, body);
  const headers = { "if-none-match": "*", ...await checksumOf(client, body) };
  const request: S3Request = { method: "PUT", key, body, headers };
  const { status } = await client.repeat(request);
  await deleteObject(client, key);
  return status;
}
