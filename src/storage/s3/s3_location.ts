import { CairnError } from "../../base/errors.ts";
import { withoutAddressSecrets } from "../../base/text/without_secrets.ts";

/** A bucket, and what all names of a storage begin with in it. */
export interface S3Location {
  readonly bucket: string;
  /** `""`, or ends with "/". */
  readonly prefix: string;
}

const LOCATION = /^s3:\/\/([^/]+)\/*(.*?)\/*$/i;
/** What Amazon allows, and what other stores do. */
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/;

/**
 * Cuts `s3://bucket/prefix`.
 *
 * @throws TypeError for what names no bucket, or has an empty, "." or ".." segment; CairnError `unsupported` for a
 * location with a query, which would be dropped.
 */
export function parseS3Location(location: string | URL): S3Location {
  const text = String(location);
  const shown = withoutAddressSecrets(text);
  const [, bucket = "", path = ""] = LOCATION.exec(text) ?? [];
  if (!BUCKET.test(bucket)) {
    const advice = text.includes("@") ? "; credentials are no part of it: see docs/s3.md" : "";
    throw new TypeError(
      `${JSON.stringify(shown)} names no bucket; expected one such as "s3://bucket/runs/a"${advice}`,
    );
  }
  if (/[?#]/.test(path)) {
    throw new CairnError(
      "unsupported",
      `Cannot open "${shown}": a location has no query; pass what it says as options of S3Storage.open()`,
    );
  }
  if (
    path !== "" && path.split("/").some((segment) => segment === "" || segment === "." || segment === "..")
  ) {
    throw new TypeError(`${JSON.stringify(shown)} has a segment that is empty, "." or ".."`);
  }
  return { bucket, prefix: path === "" ? "" : `${path}/` };
}
