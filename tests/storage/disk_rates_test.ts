import { describe, expect, test } from "bun:test";
import { DiskRates, ratesOfDisk } from "../../src/storage/disk_rates.ts";

const MiB = 1024 * 1024;

/** The work of a disk on so many MiB, by its rates in MiB a millisecond. */
function work(mebibytes: number, { write, sync }: { write: number; sync: number }): Parameters<
  DiskRates["measured"]
>[0] {
  return { bytes: mebibytes * MiB, writeMs: mebibytes / write, syncMs: mebibytes / sync };
}

/** What the first machine had: the disk has what a write took. */
const AT_ONCE = { write: 2, sync: 100 };
/** Writes return fast, and the sync takes longer. */
const LATER = { write: 2, sync: 0.5 };

describe("DiskRates", () => {
  test("knows nothing of a disk that nothing large was written to", () => {
    const rates = new DiskRates();
    expect([rates.durableBytesPerSecond, rates.pieceBytes]).toEqual([undefined, 32 * MiB]);
    rates.measured({ bytes: 1 * MiB, writeMs: 1, syncMs: 100 });
    expect([rates.durableBytesPerSecond, rates.pieceBytes]).toEqual([undefined, 32 * MiB]);
  });

  test("counts bytes as durable when they are synced, not when the write returns", () => {
    const rates = new DiskRates();
    rates.measured(work(64, LATER));
    expect(rates.durableBytesPerSecond).toBeCloseTo(1000 * MiB / (1 / 2 + 1 / 0.5), 3);
  });

  test("a sync that takes long is done after fewer bytes, within limits", () => {
    const pieceOf = (sync: number): number => {
      const rates = new DiskRates();
      rates.measured(work(64, { write: 1, sync }));
      return rates.pieceBytes;
    };
    expect(pieceOf(1)).toBeCloseTo(16 * MiB, 3);
    expect(pieceOf(2)).toBeCloseTo(32 * MiB, 3);
    expect([pieceOf(0.001), pieceOf(1000), pieceOf(Infinity)]).toEqual([8 * MiB, 256 * MiB, 256 * MiB]);
  });

  test("notices that a disk has changed before a large file is over", () => {
    const rates = new DiskRates();
    for (let file = 0; file < 20; file++) rates.measured(work(512, AT_ONCE));
    const before = rates.durableBytesPerSecond ?? NaN;
    for (let piece = 0; piece < 16; piece++) rates.measured(work(32, LATER));
    const after = rates.durableBytesPerSecond ?? NaN;
    const fast = 1000 * MiB / (1 / 2 + 1 / 100);
    const slow = 1000 * MiB / (1 / 2 + 1 / 0.5);
    expect(before).toBeCloseTo(fast, 3);
    expect(after).toBeGreaterThan(slow);
    expect(after).toBeLessThan(1.2 * slow);
    expect(rates.pieceBytes).toBeLessThan(32 * MiB);
  });

  test("is one for each device of the system", () => {
    expect(ratesOfDisk(-1)).toBe(ratesOfDisk(-1));
    expect(ratesOfDisk(-1)).not.toBe(ratesOfDisk(-2));
  });
});
