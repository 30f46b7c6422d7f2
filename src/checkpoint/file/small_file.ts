import { randomHex } from "../../base/hex.ts";
import { type JsonValue, parseCanonicalJson, toCanonicalJson } from "../../base/canonical_json.ts";
import { CairnError } from "../../base/errors.ts";
import { ownProcessMark } from "../../base/process_mark.ts";
import type { Storage } from "../../storage/storage.ts";
import { writeDurably } from "../../storage/write_durably.ts";

const MAX_BYTES = 4096;
const NO_PROCESS = "0".repeat(72);

/** Writes a small JSON file beside a checkpoint, by the same durable protocol, in the place of one that is there. */
export async function writeSmallFile(storage: Storage, path: string, value: JsonValue): Promise<void> {
  const randomName = `${ownProcessMark() ?? NO_PROCESS}-${randomHex(8)}`;
  await writeDurably(storage, path, { overwrite: true, randomName }, async (file) => {
    await file.write(new TextEncoder().encode(toCanonicalJson(value)));
  });
}

/** The beginning of a file as text: at most `maxBytes` of it. @throws CairnError `not_found`. */
export async function readSmallText(storage: Storage, path: string, maxBytes: number): Promise<string> {
  const reader = await storage.openRead(path);
  try {
    const buffer = new Uint8Array(Math.min(reader.byteLength, maxBytes));
    let filled = 0;
    while (filled < buffer.byteLength) {
      const count = await reader.read(filled, buffer.subarray(filled));
      if (count === 0) break;
      filled += count;
    }
    return new TextDecoder().decode(buffer.subarray(0, filled));
  } finally {
    await reader.close();
  }
}

/** What {@link writeSmallFile} wrote, or `undefined` when there is no such file or it is no small JSON file. */
export async function readSmallFile(storage: Storage, path: string): Promise<JsonValue | undefined> {
  try {
    return parseCanonicalJson(await readSmallText(storage, path, MAX_BYTES), storage.describe(path));
  } catch (error) {
    if (error instanceof CairnError) return undefined;
    throw error;
  }
}
