import type { ByteSink, ByteSource } from "../container/source.ts";
import type { Storage } from "../storage/storage.ts";
import { CairnError } from "../base/errors.ts";
import { Breather } from "../base/event_loop.ts";

/**
 * The file `path` as a source for a container reader, which closes it. Reading gives the event loop air.
 *
 * @throws CairnError `not_found`, or `storage_failed` for what is no plain file.
 */
export async function openSource(storage: Storage, path: string): Promise<Required<ByteSource>> {
  const reader = await storage.openRead(path);
  const breather = new Breather();
  return {
    byteLength: reader.byteLength,
    read: async (offset, into) => {
      await breather.breathe();
      for (let filled = 0; filled < into.byteLength;) {
        const count = await reader.read(offset + filled, into.subarray(filled));
        if (count === 0) throw endsEarly(storage.describe(path), offset + filled, offset + into.byteLength);
        filled += count;
      }
    },
    close: () => reader.close(),
  };
}

/** `sink`, with air for the event loop after each write: a container writer compresses a chunk between two of them. */
export function breathingSink(sink: ByteSink): ByteSink {
  const breather = new Breather();
  return {
    write: async (bytes) => {
      await sink.write(bytes);
      await breather.breathe();
    },
  };
}

function endsEarly(path: string, found: number, expected: number): CairnError {
  return new CairnError(
    "truncated",
    `Cannot read "${path}": it ends at byte ${found}, expected ${expected} or more`,
    {
      details: { path, op: "read", offset: found },
    },
  );
}
