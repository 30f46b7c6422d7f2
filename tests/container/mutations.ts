import { crc32OfTables } from "../../src/base/crc32/crc32_tables.ts";
import { CairnError } from "../../src/base/errors.ts";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { bytesSource } from "../../src/container/source.ts";
import type { Parts } from "./forge.ts";

const EDGES = [0, 1, 2, 7, 8, 16, 63, 64, 127, 128, 254, 255];
const SNIPPETS = [
  '{"$":"map","value":[',
  '"__proto__":',
  "null",
  "1e999",
  '"\\ud800"',
  "[[[[",
  '{"$":"tensor","name":"weight"}',
];

/** One random change: bytes, words, a copied or cut or grown block, or a piece of JSON. */
export function mutate(bytes: Uint8Array, next: () => number): Uint8Array {
  const below = (limit: number): number => Math.floor(next() * limit);
  const at = below(bytes.byteLength + 1);
  const copy = bytes.slice();
  switch (below(7)) {
    case 0:
      copy[at] = (copy[at] ?? 0) ^ (1 << below(8));
      return copy;
    case 1:
      copy[at] = EDGES[below(EDGES.length)] as number;
      return copy;
    case 2:
      copy.fill(next() < 0.5 ? 0 : 255, at, at + (2 << below(3)));
      return copy;
    case 3:
      copy.copyWithin(at, below(bytes.byteLength), below(bytes.byteLength));
      return copy;
    case 4:
      return copy.slice(0, at);
    case 5: {
      const inserted = Uint8Array.from({ length: below(70) }, () => next() * 256);
      return new Uint8Array(Buffer.concat([copy.subarray(0, at), inserted, copy.subarray(at)]));
    }
    default: {
      const snippet = new TextEncoder().encode(SNIPPETS[below(SNIPPETS.length)]);
      return new Uint8Array(Buffer.concat([copy.subarray(0, at), snippet, copy.subarray(at + below(30))]));
    }
  }
}

/** Changes one part; the checksums over it come out right, so that the change is looked at. */
export function mutateParts(parts: Parts, next: () => number): void {
  const kind = next();
  if (kind < 0.3) parts.tensors = mutate(parts.tensors, next);
  else if (kind < 0.5) parts.chunks = mutate(parts.chunks, next);
  else if (kind < 0.7) parts.manifest = mutate(parts.manifest, next);
  else if (kind < 0.75) parts.header.set(mutate(parts.header, next).subarray(0, 4096));
  else if (kind < 0.85) {
    parts.editTrailer = (view) => {
      const trailer = new Uint8Array(view.buffer);
      trailer.set(mutate(trailer, next).subarray(0, 128));
    };
  } else mutateStored(parts, next);
}

/**
 * Changes the stored bytes of a chunk and corrects its stored checksum, so that the codec has to deal with
 * them.
 */
function mutateStored(parts: Parts, next: () => number): void {
  const view = new DataView(parts.chunks.buffer, parts.chunks.byteOffset, parts.chunks.byteLength);
  const index = Math.floor(next() * parts.chunkCount);
  const start = Number(view.getBigUint64(8 * index, true)) - 4096;
  const length = view.getUint32(8 * parts.chunkCount + 4 * index, true);
  const stored = mutate(parts.data.slice(start, start + length), next).subarray(0, length);
  parts.data.set(stored, start);
  const crc = crc32OfTables(parts.data.subarray(start, start + length));
  view.setUint32(16 * parts.chunkCount + 4 * index, crc, true);
}

/**
 * Opens, verifies and reads everything. Returns whether the file was accepted; throws any error but a CairnError.
 */
export async function tryAll(file: Uint8Array): Promise<boolean> {
  try {
    const reader = await ContainerReader.open(bytesSource(file));
    const { ok } = await reader.verify();
    for (const { name, byteLength } of reader.tensors) {
      const bytes = await reader.read(name);
      if (bytes.byteLength !== byteLength) throw new Error(`"${name}" has ${bytes.byteLength} bytes`);
    }
    return ok;
  } catch (error) {
    if (error instanceof CairnError) return false;
    throw error;
  }
}
