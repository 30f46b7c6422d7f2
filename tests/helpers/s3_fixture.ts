import { S3Storage } from "../../src/storage/s3/s3_storage.ts";
import type { S3Options } from "../../src/storage/s3/s3_options.ts";
import type { FakeS3 } from "./fake_s3.ts";

/** What must be in no message, event or log. */
export const SECRETS: readonly string[] = [
  "AKIDOFTHETEST",
  "the+secret/of/the+test",
  "the-session-token-of-the-test",
];

/** Where the tests save. */
export const LOCATION = "s3://bucket/runs/a";

/** A storage on a store of the test's, whose pauses take no time. */
export async function s3On(store: FakeS3, options: S3Options = {}): Promise<S3Storage> {
  const [accessKeyId = "", secretAccessKey = "", sessionToken] = SECRETS;
  return await S3Storage.open(LOCATION, {
    endpoint: "http://127.0.0.1:9",
    credentials: { accessKeyId, secretAccessKey, sessionToken },
    fetch: store.fetch,
    attempts: 4,
    clock: clockOf(store),
    ...options,
  });
}

/** The store's own time. Short pauses are over at once, and time limits never come. */
function clockOf(store: FakeS3): NonNullable<S3Options["clock"]> {
  return {
    now: () => store.nowMs,
    sleep: (ms, signal) =>
      ms <= 5000
        ? Promise.resolve()
        : new Promise((resolve) => signal?.addEventListener("abort", () => resolve())),
  };
}
