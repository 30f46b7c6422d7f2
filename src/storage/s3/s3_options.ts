import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { Clock } from "../../base/clock.ts";
import { CairnError } from "../../base/errors.ts";

/** What requests are signed with. */
export interface S3Credentials {
  /** Which key. */
  readonly accessKeyId: string;
  /** The key. It is in no message, event or log. */
  readonly secretAccessKey: string;
  /** Of credentials that hold for a while only. */
  readonly sessionToken?: string | undefined;
}

/** Every option of {@link S3Credentials}. */
export const S3_CREDENTIALS: OptionNames<S3Credentials> = {
  accessKeyId: true,
  secretAccessKey: true,
  sessionToken: true,
};

/** Options of `S3Storage.open`. What is not given is taken from the usual environment variables. */
export interface S3Options {
  /**
   * Address of a compatible store, such as `https://minio.example:9000`. Default `AWS_ENDPOINT_URL_S3`, then
   * `AWS_ENDPOINT_URL`, then Amazon's of the region.
   */
  readonly endpoint?: string | undefined;
  /** Default `AWS_REGION`, then `AWS_DEFAULT_REGION`, then `us-east-1`. */
  readonly region?: string | undefined;
  /**
   * Default `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`. A function is asked before each
   * request, so that it may renew them.
   */
  readonly credentials?: S3Credentials | (() => S3Credentials | Promise<S3Credentials>) | undefined;
  /** Whether the bucket is in the path and not in the host's name. Default: with an `endpoint`. */
  readonly isPathStyle?: boolean | undefined;
  /** Bytes of a piece of an upload, 5 MiB or more; an object has at most 10 000 pieces. Default 8 MiB. */
  readonly partBytes?: number | undefined;
  /** How many pieces of a file are on their way at once; each takes `partBytes` of memory. Default 4. */
  readonly partsInFlight?: number | undefined;
  /**
   * Whether each object has a SHA-256 that the store checks and keeps. Default true. The content is part of the
   * signature either way.
   */
  readonly hasChecksums?: boolean | undefined;
  /** How often a request is tried before it fails, with pauses that double from 100 ms to 5 s. Default 8. */
  readonly attempts?: number | undefined;
  /** How long to wait for an answer, and for each of its bytes. Default 60 000. */
  readonly timeoutMs?: number | undefined;
  /** What makes the requests: default the global `fetch`. */
  readonly fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
  /** For pauses, time limits and signatures. */
  readonly clock?: Clock | undefined;
}

/** Every option of {@link S3Options}. */
export const S3_OPTIONS: OptionNames<S3Options> = {
  endpoint: true,
  region: true,
  credentials: true,
  isPathStyle: true,
  partBytes: true,
  partsInFlight: true,
  hasChecksums: true,
  attempts: true,
  timeoutMs: true,
  fetch: true,
  clock: true,
};

const LEAST_PART_BYTES = 5 * 1024 * 1024;

/** @throws TypeError for an unknown option or an endpoint that is none; RangeError for a number out of its range. */
export function checkS3Options(options: S3Options): void {
  checkOptions("S3Storage.open()", options, S3_OPTIONS, '{ endpoint: "https://…", region: "eu-central-1" }');
  const { endpoint, partBytes = LEAST_PART_BYTES, partsInFlight = 1, attempts = 1, timeoutMs = 1 } = options;
  if (endpoint !== undefined) checkEndpoint(endpoint);
  const counts = { partsInFlight, attempts, partBytes };
  for (const [name, value] of Object.entries(counts)) {
    const least = name === "partBytes" ? LEAST_PART_BYTES : 1;
    if (!(Number.isSafeInteger(value) && value >= least)) {
      throw new RangeError(`${name} is ${String(value)}, expected an integer from ${least}`);
    }
  }
  if (!(timeoutMs > 0)) {
    throw new RangeError(`timeoutMs is ${String(timeoutMs)}, expected milliseconds above 0`);
  }
  if (typeof options.credentials === "object") {
    checkOptions("credentials", options.credentials, S3_CREDENTIALS, "{ accessKeyId, secretAccessKey }");
  }
}

/** The endpoint, region and path style that are meant. */
export function addressOf(options: S3Options): {
  readonly endpoint: string | undefined;
  readonly region: string;
  readonly isPathStyle: boolean;
} {
  const endpoint = options.endpoint ?? environment("AWS_ENDPOINT_URL_S3") ?? environment("AWS_ENDPOINT_URL");
  if (endpoint !== undefined) checkEndpoint(endpoint);
  const region = options.region ?? environment("AWS_REGION") ?? environment("AWS_DEFAULT_REGION") ??
    "us-east-1";
  return { endpoint, region, isPathStyle: options.isPathStyle ?? endpoint !== undefined };
}

/** The credentials of now. @throws CairnError `unsupported` where there are none. */
export async function credentialsOf({ credentials }: S3Options): Promise<S3Credentials> {
  const given = typeof credentials === "function" ? await credentials() : credentials;
  if (given !== undefined) return given;
  const accessKeyId = environment("AWS_ACCESS_KEY_ID");
  const secretAccessKey = environment("AWS_SECRET_ACCESS_KEY");
  if (accessKeyId !== undefined && secretAccessKey !== undefined) {
    return { accessKeyId, secretAccessKey, sessionToken: environment("AWS_SESSION_TOKEN") };
  }
  throw new CairnError(
    "unsupported",
    "There are no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (Deno: with --allow-env), " +
      "or pass credentials to S3Storage.open()",
  );
}

function checkEndpoint(endpoint: string): void {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  const isWeb = url?.protocol === "http:" || url?.protocol === "https:";
  // An address with a password in it would be in messages.
  if (isWeb && url.username === "" && url.password === "" && url.search === "") return;
  throw new TypeError(
    "endpoint is no web address without credentials and query, such as https://minio.example:9000",
  );
}

/** A variable of the environment that is not empty; `undefined` also where it may not be read. */
function environment(name: string): string | undefined {
  try {
    const host = globalThis as { process?: { env?: Record<string, string | undefined> } };
    const value = host.process?.env?.[name];
    return value === "" ? undefined : value;
  } catch {
    return undefined;
  }
}
