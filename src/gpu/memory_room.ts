import { shortNumber } from "../base/printable.ts";
import { CairnError } from "../base/errors.ts";
import { nodeBuiltin } from "../base/node_builtin.ts";

/** How many bytes something takes, by what takes them: `{ parameters: 4096 }`. */
export type MemoryNeeds = Readonly<Record<string, number>>;

/** How much memory there is, and where. */
export interface MemoryRoom {
  readonly adapterName: string;
  /** Bytes of all buffers together that there may be. */
  readonly limit: number;
  /** Bytes of those that there are. */
  readonly taken: number;
}

/** The error for `needs` that do not fit; `undefined` where they do. It says their sum and what takes how much. */
export function shortageOf(what: string, needs: MemoryNeeds, room: MemoryRoom): CairnError | undefined {
  const { adapterName, limit, taken } = room;
  const sum = sumOf(needs);
  if (taken + sum <= limit) return undefined;
  const others = taken === 0 ? "" : `, of which ${bytesText(taken)} are taken`;
  return new CairnError(
    "out_of_memory",
    `${what} does not fit: it takes ${needsText(needs)}, and "${adapterName}" has ${
      bytesText(limit)
    }${others}; ` +
      "make it smaller, or say with the option memoryBytes that there is more",
    { details: { limit, value: sum } },
  );
}

/** E.g. `3.00 MB: parameters 1.00 MB, gradients 2.00 MB`, the largest first. */
export function needsText(needs: MemoryNeeds): string {
  const parts = Object.entries(needs).filter(([, bytes]) => bytes > 0).sort(([, a], [, b]) => b - a);
  const listed = parts.map(([name, bytes]) => `${name} ${bytesText(bytes)}`).join(", ");
  return parts.length < 2 ? bytesText(sumOf(needs)) : `${bytesText(sumOf(needs))}: ${listed}`;
}

function sumOf(needs: MemoryNeeds): number {
  return Object.values(needs).reduce((sum, bytes) => sum + bytes, 0);
}

function bytesText(bytes: number): string {
  return `${shortNumber(bytes)}B`;
}

/** Bytes of memory of this machine, where the runtime says it. An adapter that is a processor has no other. */
export function machineMemory(): number | undefined {
  try {
    const bytes = nodeBuiltin("node:os")?.totalmem();
    return bytes === undefined || bytes <= 0 ? undefined : bytes;
  } catch {
    // Deno asks for a permission.
    return undefined;
  }
}

/** @throws RangeError for what is no number of bytes. */
export function checkedMemoryBytes(memoryBytes: number | undefined): number | undefined {
  if (memoryBytes === undefined || Number.isSafeInteger(memoryBytes) && memoryBytes > 0) return memoryBytes;
  throw new RangeError(`memoryBytes is a whole number of bytes above 0, found ${memoryBytes}`);
}
