import { Breather } from "../base/event_loop.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import type { SumSpan } from "./sum_memory.ts";

/** What goes to the GPU at once: the event loop is held for less than a millisecond, also where memory is dear. */
const STEP_BYTES = 256 * 1024;

/** Writes what a piece has to where its spans are. The event loop has its turns meanwhile. */
export async function writeSpans(
  gpu: GpuDevice,
  spans: readonly SumSpan[],
  piece: Uint8Array,
): Promise<void> {
  const breather = new Breather();
  for (const { range: { buffer, offset, size }, at } of spans) {
    for (let done = 0; done < size; done += STEP_BYTES) {
      gpu.write(buffer, offset + done, piece.subarray(at + done, at + Math.min(size, done + STEP_BYTES)));
      await breather.breathe();
    }
  }
}
