import { test } from "bun:test";
import process from "node:process";
import { NO_MOTO, startMoto } from "../../tools/moto.mjs";
import { S3Client } from "../../src/storage/s3/s3_client.ts";
import { parseS3Location } from "../../src/storage/s3/s3_location.ts";
import type { S3Options } from "../../src/storage/s3/s3_options.ts";
import { SECRETS } from "./s3_fixture.ts";

/** A real server, and a bucket on it that is new. */
export interface RealS3 {
  readonly bucket: string;
  readonly endpoint: string;
  /** Endpoint and credentials. */
  readonly options: S3Options;
}

/** One server for all tests of a file (in Bun for all files). It lives as long as the process. */
let shared: Promise<string | undefined> | undefined;
let buckets = 0;
let skipped = 0;

/** The address in `CAIRN_S3_ENDPOINT`, or that of a server that is started. */
async function findServer(): Promise<string | undefined> {
  const named = process.env["CAIRN_S3_ENDPOINT"];
  const endpoint = named ?? (await startMoto())?.endpoint;
  if (endpoint === undefined && process.env["REQUIRE_GPU"] === "1") throw new Error(NO_MOTO);
  return endpoint;
}

/** A new bucket on the server; `undefined` where there is no server. */
export async function realS3(): Promise<RealS3 | undefined> {
  const endpoint = await (shared ??= findServer());
  if (endpoint === undefined) return undefined;
  const [accessKeyId = "", secretAccessKey = ""] = SECRETS;
  const options = { endpoint, credentials: { accessKeyId, secretAccessKey } };
  const bucket = `cairn-${Date.now().toString(36)}-${process.pid}-${buckets++}`;
  const answer = await new S3Client(parseS3Location(`s3://${bucket}`), options).once({ method: "PUT" });
  if (answer.status !== 200) throw new Error(`The server answers ${answer.status} to a new bucket`);
  return { bucket, endpoint, options };
}

/**
 * A test on a real server of S3. Without one it prints `SKIP s3: …` and passes; with REQUIRE_GPU=1, by which a run
 * says that nothing may be skipped, it fails instead.
 */
export function realS3Test(name: string, body: (s3: RealS3) => unknown, timeoutMs: number = 600_000): void {
  test(name, async () => {
    const s3 = await realS3();
    if (s3 !== undefined) return void await body(s3);
    skipped += 1;
    console.log(`SKIP s3: ${name} (${NO_MOTO}; ${skipped} skipped so far)`);
  }, timeoutMs);
}
