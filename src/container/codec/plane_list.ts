import type { CairnError } from "../../base/errors.ts";
import { viewOf } from "../../base/little_endian.ts";

/** The planes of a chunk, and where the last of them ends. */
export interface PlaneList {
  readonly planes: Uint8Array[];
  readonly end: number;
}

/** `storedLength` bytes: the u32 length of each plane, then the planes, then zeros. */
export function joinPlanes(planes: readonly Uint8Array[], storedLength: number): Uint8Array {
  const stored = new Uint8Array(storedLength);
  const view = viewOf(stored);
  let at = 4 * planes.length;
  for (const [index, plane] of planes.entries()) {
    view.setUint32(4 * index, plane.byteLength, true);
    stored.set(plane, at);
    at += plane.byteLength;
  }
  return stored;
}

/**
 * Views of the `byteSize` planes in `stored`, none longer than `count`. What may stand behind the last one is for the
 * codec to say. Throws what `invalid` makes of the problem.
 */
export function readPlanes(
  stored: Uint8Array,
  byteSize: number,
  count: number,
  invalid: (problem: string) => CairnError,
): PlaneList {
  const planes: Uint8Array[] = [];
  let at = 4 * byteSize;
  if (!Number.isInteger(count) || stored.byteLength < at) {
    throw invalid(`${stored.byteLength} bytes hold no planes`);
  }
  const view = viewOf(stored);
  for (let index = 0; index < byteSize; index++) {
    const length = view.getUint32(4 * index, true);
    if (length > count || length > stored.byteLength - at) {
      throw invalid(
        `plane ${index} says it has ${length} bytes, of ${count} at most and ${stored.byteLength - at} left`,
      );
    }
    planes.push(stored.subarray(at, at + length));
    at += length;
  }
  return { planes, end: at };
}
