import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../src/base/crc32/crc32.ts";
import { type CodecJob, JobRunner } from "../../../src/container/codec/codec_job.ts";
import { BOARD_SLOTS, JobBoard } from "../../../src/container/codec/job_board.ts";
import { planesCodec } from "../../../src/container/codec/planes/planes.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { asBytes, weightsOf } from "../samples.ts";

const ENCODE: CodecJob = { kind: "encode", dtype: "f32", names: ["planes", "zstd"] };
const all = (): boolean => true;

describe("JobBoard", () => {
  test("gives jobs in the order in which they were posted, each once, whoever takes them", () => {
    const poster = new JobBoard();
    const taker = new JobBoard(poster.memory);
    for (const slot of [7, 3, 255]) poster.post(slot, slot, 100 + slot, ENCODE);
    const taken = [taker.take(0, all), poster.take(1, all), taker.take(0, all), poster.take(1, all)];
    expect(taken.map((job) => typeof job === "string" ? job : [job.slot, job.inputBytes])).toEqual([
      [7, 107],
      [3, 103],
      [255, 355],
      "none",
    ]);
    expect([poster.isAt(7, 0), poster.isAt(3, 0), poster.isAt(3, 1)]).toEqual([true, false, true]);
  });

  test("says every field of a job and of a result again, in as many rounds as one likes", () => {
    const board = new JobBoard();
    const sums = { dtype: "bf16", rawLength: 4000, storedCrc: 0xfedcba98, rawCrc: 0x80000001 } as const;
    const decode: CodecJob = { kind: "decode", name: "levels", sums };
    for (let round = 0; round < 3 * BOARD_SLOTS; round++) {
      const slot = round % 5;
      const job = round % 2 === 0 ? ENCODE : decode;
      board.post(slot, round, round, job);
      expect(board.result(slot)).toBeUndefined();
      expect(board.take(0, (at, memory) => at === slot && memory === round)).toEqual({
        slot,
        inputBytes: round,
        job,
      });
      if (round % 3 === 0) {
        board.finish(slot, undefined);
        expect(board.result(slot)).toBe("failed");
        continue;
      }
      const result = { codec: "zstd", byteLength: round, storedCrc: 0xffffffff, rawCrc: 5 } as const;
      board.finish(slot, result);
      expect(board.result(slot)).toEqual(result);
    }
  });

  test("leaves a job to others whose memory the thread does not know", () => {
    const board = new JobBoard();
    board.post(0, 1, 10, ENCODE);
    expect(board.take(0, (_, memory) => memory === 0)).toBe("not mine");
    expect(board.take(1, all)).toMatchObject({ slot: 0 });
  });

  test("the bell changes with each job and at the end, and who asked for an answer is told once", () => {
    const board = new JobBoard();
    const before = board.bell;
    board.post(0, 0, 10, ENCODE);
    expect(board.bell).not.toBe(before);
    const posted = board.bell;
    board.close();
    expect([board.isClosed, board.bell === posted]).toEqual([true, false]);
    expect(board.takeAwaited()).toBe(false);
    board.await();
    expect([board.takeAwaited(), board.takeAwaited()]).toEqual([true, false]);
  });
});

describe("JobRunner", () => {
  const raw = asBytes(weightsOf(1 << 15, 9));
  const stored = planesCodec.encode(raw, "f32") as Uint8Array;

  for (const Memory of [ArrayBuffer, SharedArrayBuffer]) {
    test(`puts a result where the input was, in an ${Memory.name}`, () => {
      const runner = new JobRunner();
      const memory = new Memory(raw.byteLength);
      const bytes = new Uint8Array(memory);
      bytes.set(raw);
      const encoded = runner.run({ kind: "encode", dtype: "f32", names: ["planes"] }, memory, raw.byteLength);
      const [storedCrc, rawCrc] = [crc32(stored), crc32(raw)];
      expect(encoded).toEqual({ codec: "planes", byteLength: stored.byteLength, storedCrc, rawCrc });
      expect(Buffer.compare(bytes.subarray(0, stored.byteLength), stored)).toBe(0);
      const sums = { dtype: "f32", rawLength: raw.byteLength, storedCrc, rawCrc } as const;
      const decoded = runner.run({ kind: "decode", name: "planes", sums }, memory, stored.byteLength);
      expect(decoded).toEqual({ codec: "planes", byteLength: raw.byteLength, storedCrc, rawCrc });
      expect(Buffer.compare(bytes, raw)).toBe(0);
    });

    test(`leaves the input as it was when a job fails, in an ${Memory.name}`, async () => {
      const memory = new Memory(raw.byteLength);
      const bytes = new Uint8Array(memory);
      bytes.set(stored);
      // Found only when everything is decoded.
      const sums = { dtype: "f32", rawLength: raw.byteLength, storedCrc: crc32(stored), rawCrc: 5 } as const;
      const error = await thrownBy(() =>
        new JobRunner().run({ kind: "decode", name: "planes", sums }, memory, stored.byteLength)
      );
      expect(error).toMatchObject({ code: "checksum_mismatch" });
      expect(Buffer.compare(bytes.subarray(0, stored.byteLength), stored)).toBe(0);
    });
  }
});
