import { S3Storage } from "../../src/storage/s3/s3_storage.ts";
import type { S3Options } from "../../src/storage/s3/s3_options.ts";
import type { FaultyS3 } from "./faulty_s3.ts";

/** What must be in no message, event or log. */
export const SECRETS: readonly string[] = [
  "AKIDOFTHETEST",
  "the+secret/of/the+test",
  "the-session-token-of-the-test",
];

/** A storage on a store of the test's, whose pauses take no time. */
export async function s3On(store: FaultyS3, options: S3Options = {}): Promise<S3Storage> {
  const [accessKeyId = "", secretAccessKey = "", sessionToken] = SECRETS;
  return await S3Storage.open(store.location, {
    ...store.connection,
    credentials: { accessKeyId, secretAccessKey, sessionToken },
    attempts: 4,
    clock: clockOf(store),
    ...options,
  });
}

/** The store's own time. Short pauses are over at once, and time limits come when the store says so. */
function clockOf(store: FaultyS3): NonNullable<S3Options["clock"]> {
  return {
    now: () => store.nowMs,
    sleep: (ms, signal) => ms <= 5000 ? Promise.resolve() : store.waitLong(signal),
  };
}
