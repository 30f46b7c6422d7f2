import { CairnError, type CairnErrorCode } from "../../base/errors.ts";
import { locateAll, type Place } from "../open/locate.ts";
import { openPlace } from "../open/open_file.ts";
import type { FileFormat, OpenedFile } from "../open/opened_file.ts";

/** Something that is wrong in a file. */
export interface Finding {
  /** The tensors that cannot be had because of it; none where it is the file as a whole. */
  readonly tensors: readonly string[];
  readonly message: string;
}

/** What became of one file. */
export interface Verification {
  readonly file: string;
  readonly status: "ok" | "damaged" | "unreadable";
  readonly format?: FileFormat | undefined;
  readonly fileBytes?: number | undefined;
  readonly tensorCount?: number | undefined;
  /** What was compared: every checksum, or only what the file says of itself, where the format has no more. */
  readonly checked?: "checksums" | "structure" | undefined;
  readonly findings: readonly Finding[];
}

const BROKEN: ReadonlySet<CairnErrorCode> = new Set<CairnErrorCode>([
  "checksum_mismatch",
  "invalid_container",
  "invalid_file",
  "not_a_container",
  "truncated",
]);
/** Formats whose bytes have checksums. */
const WITH_CHECKSUMS: ReadonlySet<FileFormat> = new Set<FileFormat>(["cairn", "npz", "torch"]);

/** Told how far the reading is: bytes of tensors. */
export type OnVerifyProgress = (label: string, done: number, total: number) => void;

/** Verifies every file that `location` means. Nothing is thrown for a file that cannot be read. */
export async function verifyAll(location: string, onProgress: OnVerifyProgress): Promise<Verification[]> {
  let places: Place[];
  try {
    places = await locateAll(location);
  } catch (error) {
    return [failed(location, error)];
  }
  const verifications: Verification[] = [];
  for (const place of places) verifications.push(await verifyPlace(place, onProgress));
  return verifications;
}

async function verifyPlace(place: Place, onProgress: OnVerifyProgress): Promise<Verification> {
  let file: OpenedFile | undefined;
  try {
    file = await openPlace(place);
    const tensors = await file.list();
    const findings = file.container === undefined
      ? await readAll(file, onProgress)
      : await verifyContainer(file, file.container, onProgress);
    return {
      file: place.label,
      status: findings.length === 0 ? "ok" : "damaged",
      format: file.format,
      fileBytes: file.fileBytes,
      tensorCount: tensors.length,
      checked: WITH_CHECKSUMS.has(file.format) ? "checksums" : "structure",
      findings,
    };
  } catch (error) {
    return failed(place.label, error);
  } finally {
    await file?.close();
  }
}

async function verifyContainer(
  { label }: OpenedFile,
  container: NonNullable<OpenedFile["container"]>,
  onProgress: OnVerifyProgress,
): Promise<Finding[]> {
  const { damaged } = await container.verify({
    onProgress: ({ done, total }) => onProgress(label, done, total),
  });
  return damaged.map(({ tensors, message }) => ({ tensors, message }));
}

/** What a zip file has a checksum of is compared as it is read. Where there are none, lengths are. */
async function readAll(file: OpenedFile, onProgress: OnVerifyProgress): Promise<Finding[]> {
  const findings: Finding[] = [];
  const tensors = (await file.list()).filter(({ dtype, problem }) =>
    dtype !== undefined || problem !== undefined
  );
  const total = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  let done = 0;
  for (const { name, byteLength, problem } of tensors) {
    if (problem !== undefined) {
      findings.push({ tensors: [name], message: problem });
      continue;
    }
    try {
      for await (const piece of file.pieces(name)) void piece;
    } catch (error) {
      if (!isBroken(error)) throw error;
      // The file is named in front of all that is found in it.
      const { cause } = error;
      findings.push({
        tensors: [name],
        message: cause instanceof CairnError ? cause.message : error.message,
      });
    }
    onProgress(file.label, done += byteLength, total);
  }
  return findings;
}

function isBroken(error: unknown): error is CairnError {
  return error instanceof CairnError && BROKEN.has(error.code);
}

/** @throws What is no failure of a file. */
function failed(file: string, error: unknown): Verification {
  if (!(error instanceof CairnError)) throw error;
  const status = isBroken(error) ? "damaged" : "unreadable";
  return { file, status, findings: [{ tensors: [], message: error.message }] };
}
