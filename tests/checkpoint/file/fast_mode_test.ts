import { describe, expect, test } from "bun:test";
import { ContainerWriter, type WriteReport } from "../../../src/container/write/container_writer.ts";
import type { ByteSink } from "../../../src/container/source.ts";
import { BlockMemory, BlockWriter, type PositionedFile } from "../../../src/storage/block_writer.ts";
import { DiskRates } from "../../../src/storage/disk_rates.ts";
import { asBytes, FILE_ID, manifestOf, weightsOf } from "../../container/samples.ts";

const MiB = 1024 * 1024;
const CHUNKS = 48;
const CHUNK = asBytes(weightsOf(MiB / 4, 7));
/** What one look at the clock takes: encoding a chunk is one of them, and there are two more between two writes. */
const TICK_MS = 1;

/** Milliseconds that a disk takes for a MiB. */
interface Disk {
  readonly write: number;
  readonly sync: number;
}

/** A file of that disk, which keeps nothing: its clock runs as it is asked. */
function fileOn({ write, sync }: Disk): PositionedFile {
  const times = { writeMs: 0, syncMs: 0 };
  let unsynced = 0;
  return {
    times,
    write: ({ byteLength }) => {
      unsynced += byteLength;
      times.writeMs += write * byteLength / MiB;
      return Promise.resolve(byteLength);
    },
    sync: () => {
      times.syncMs += sync * unsynced / MiB;
      unsynced = 0;
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
  };
}

/** Saves 48 chunks of weights by `fast`, to a disk of which `rates` knows what was measured before. */
async function savedTo(disk: Disk, rates: DiskRates): Promise<WriteReport> {
  const memory = new BlockMemory();
  const openDirect = (): Promise<undefined> => Promise.resolve(undefined);
  const blocks = new BlockWriter(fileOn(disk), { openDirect, memory, disk: rates });
  let clock = 0;
  const sink: ByteSink = {
    get durableBytesPerSecond() {
      return rates.durableBytesPerSecond;
    },
    write: async (bytes) => {
      for (let at = 0; at < bytes.byteLength;) at += await blocks.write(bytes.subarray(at));
    },
  };
  const writer = await ContainerWriter.create(sink, {
    tensors: [{ name: "weights", dtype: "f32", shape: [CHUNKS * MiB / 4] }],
    fileId: FILE_ID,
    mode: "fast",
    now: () => clock += TICK_MS,
  });
  for (let chunk = 0; chunk < CHUNKS; chunk++) await writer.write(CHUNK);
  const report = await writer.finish(manifestOf(null));
  await blocks.sync();
  await blocks.close();
  return report;
}

const WRITES_FAST_SYNCS_SLOWLY: Disk = { write: 0.5, sync: 4 };
const FAST: Disk = { write: 1.5, sync: 0.05 };

describe("the mode fast", () => {
  test("encodes for a disk whose writes return fast and whose sync is slow", async () => {
    const rates = new DiskRates();
    await savedTo(WRITES_FAST_SYNCS_SLOWLY, rates);
    const second = await savedTo(WRITES_FAST_SYNCS_SLOWLY, rates);
    expect(second.codecs).toEqual({ planes: CHUNKS });
    // Durable bytes, not what the disk took.
    expect(second.rates?.write).toBeCloseTo(1000 * MiB / 4.5, -6);
  });

  test("writes raw to a fast disk, though the sync of a file takes some time", async () => {
    const rates = new DiskRates();
    await savedTo(FAST, rates);
    const second = await savedTo(FAST, rates);
    expect(second.codecs).toEqual({ planes: 5, raw: CHUNKS - 5 });
  });

  test("writes raw where this thread is slower than the disk, whatever encoding would save", async () => {
    const rates = new DiskRates();
    // Two ticks are between the writes of raw chunks, and one more is the encoding.
    rates.measured({ bytes: 64 * MiB, writeMs: 64 * 2.9, syncMs: 0 });
    const disk = { write: 2.9, sync: 0 };
    expect((await savedTo(disk, rates)).codecs).toEqual({ planes: 5, raw: CHUNKS - 5 });
    const slower = { write: 3.1, sync: 0 };
    rates.measured({ bytes: 2048 * MiB, writeMs: 2048 * 3.1, syncMs: 0 });
    expect((await savedTo(slower, rates)).codecs).toEqual({ planes: CHUNKS });
  });

  test("notices a disk that has changed, in the save after the one that met it", async () => {
    const rates = new DiskRates();
    for (let save = 0; save < 3; save++) await savedTo(FAST, rates);
    for (let save = 0; save < 6; save++) await savedTo(WRITES_FAST_SYNCS_SLOWLY, rates);
    expect((await savedTo(WRITES_FAST_SYNCS_SLOWLY, rates)).codecs).toEqual({ planes: CHUNKS });
    for (let save = 0; save < 12; save++) await savedTo(FAST, rates);
    expect((await savedTo(FAST, rates)).codecs).toEqual({ planes: 5, raw: CHUNKS - 5 });
  });
});
