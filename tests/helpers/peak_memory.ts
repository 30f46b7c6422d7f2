import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";

/** Runs `work` and gives the most bytes of memory that the process had meanwhile above what it had before. */
export async function peakGrowth(work: () => Promise<void>): Promise<number> {
  const before = process.memoryUsage().rss;
  resetPeak();
  await work();
  return Math.max(0, peak() - before);
}

/** Linux keeps the peak; 5 in `clear_refs` sets it back to the present. */
function resetPeak(): void {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {
    // Elsewhere what is left afterwards has to do.
  }
}

function peak(): number {
  try {
    const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    if (kib !== undefined) return Number(kib) * 1024;
  } catch {
    // As above.
  }
  return process.memoryUsage().rss;
}
