import { nodeBuiltin } from "../../base/node_builtin.ts";
import { CodecPool } from "./codec_pool.ts";

/** Starting a thread takes as much of the processor as coding so many bytes. */
const LEAST_BYTES = 64 * 1024 * 1024;
/** This thread codes as well, and has to move what more of them would code. */
const MOST_THREADS = 2;

/**
 * Threads that help this one with `codedBytes` raw bytes of chunks, for the one who asks to close. `undefined` where
 * they would not pay: too few bytes, no second core, no threads, or none that may be started. What they do not do, this
 * thread does, so that the bytes are the same, and nothing waits for them to start.
 */
export function openHelpers(codedBytes: number): CodecPool | undefined {
  const threads = Math.min(MOST_THREADS, coreCount() - 1);
  if (codedBytes < LEAST_BYTES || threads < 1) return undefined;
  try {
    return CodecPool.open(threads);
  } catch {
    // A page's policy or a runtime's permissions may forbid it.
    return undefined;
  }
}

function coreCount(): number {
  // Node 20 has no `navigator`.
  const { navigator } = globalThis as { readonly navigator?: { readonly hardwareConcurrency?: number } };
  return navigator?.hardwareConcurrency ?? nodeBuiltin("node:os")?.availableParallelism() ?? 1;
}
