/**
 * Checkpoints in buckets of S3 and of stores that are compatible with it, for those who pass options: wherever a
 * directory is taken, `s3://bucket/prefix` works without this door. `docs/s3.md` says what is promised.
 *
 * @example
 * ```ts
 * import { FileEngine } from "@cairn-ml/cairn/engine";
 * import { S3Storage } from "@cairn-ml/cairn/s3";
 *
 * const storage = await S3Storage.open("s3://bucket/runs/a", {
 *   endpoint: "https://minio.example:9000",
 *   credentials: { accessKeyId: "…", secretAccessKey: "…" },
 * });
 * const engine = await FileEngine.open(storage);
 * console.log(engine.location); // s3://bucket/runs/a/
 * ```
 *
 * @module
 */
export type { S3Collected } from "../storage/s3/s3_collect.ts";
export type { S3Credentials, S3Options } from "../storage/s3/s3_options.ts";
export { S3Storage } from "../storage/s3/s3_storage.ts";
