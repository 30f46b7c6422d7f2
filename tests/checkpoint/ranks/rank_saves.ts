import { CommitInfo } from "../../../src/checkpoint/engine/commit_info.ts";
import type { CommitReport } from "../../../src/checkpoint/engine/engine.ts";
import { FileEngine, type FileEngineOptions } from "../../../src/checkpoint/engine/file_engine.ts";
import { rowsOfRank } from "../../../src/checkpoint/file/parts/rank_view.ts";
import type { RankSaveOptions } from "../../../src/checkpoint/ranks/rank_options.ts";
import { saveByRanks } from "../../../src/checkpoint/ranks/save_by_ranks.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { counterRandom, FaultStorage, memoryEngine } from "../fixtures.ts";
import { frozenTensors, type TensorsByName } from "../file/parts/frozen_tensors.ts";
import { LookClock } from "../../helpers/turns.ts";
import type { VirtualClock } from "../../helpers/virtual_clock.ts";

export const ROWS = 7;
export const WIDTH = 3;

/** Rows of a tensor in which each element says which one it is. */
export function rows(start: number, end: number, dtype: "f32" | "u8" = "f32"): HostTensor {
  const numbers = Array.from({ length: (end - start) * WIDTH }, (_, index) => start * WIDTH + index);
  const bytes = dtype === "f32"
    ? new Uint8Array(Float32Array.from(numbers).buffer)
    : Uint8Array.from(numbers);
  return HostTensor.fromBytes(bytes, dtype, [end - start, WIDTH]);
}

/** What one rank of several has: its rows of two tables, a model that all have, and numbers of its own. */
export function tensorsOf(
  rank: number,
  worldSize: number,
): { tensors: TensorsByName; ranks: RankSaveOptions } {
  const shard = rowsOfRank(ROWS, rank, worldSize);
  return {
    tensors: {
      "model.w": HostTensor.from([[1, 2], [3, 4]]),
      "model.tied": "model.w",
      "model.b": HostTensor.from([5, 6]),
      "model.table": rows(shard.start, shard.end),
      "model.bytes": rows(shard.start, shard.end, "u8"),
      "own.x": HostTensor.from([rank, rank]),
    },
    ranks: {
      rank,
      worldSize,
      replicated: ["model.*"],
      sharded: { "model.table": shard, "model.bytes": shard },
      pollMs: 0,
      timeoutMs: 4000,
      clock: new LookClock(),
    },
  };
}

export async function engineOf(
  storage: Storage,
  rank: number,
  seed = 0,
  options: FileEngineOptions = {},
): Promise<FileEngine> {
  const random = counterRandom(rank + 1 + 100 * seed);
  return await memoryEngine(storage, { random, codec: "raw", ...options });
}

/** How one rank saves. */
export interface Attempt {
  readonly tag?: string;
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal;
  readonly step?: number;
  readonly ranks?: Partial<RankSaveOptions>;
  readonly tensors?: TensorsByName;
  readonly engine?: FileEngineOptions | FileEngine;
}

export async function saveRank(
  storage: Storage,
  rank: number,
  worldSize: number,
  attempt: Attempt = {},
): Promise<CommitReport> {
  const { tensors, ranks } = tensorsOf(rank, worldSize);
  const { tag = "a", overwrite = false, step = 1, signal } = attempt;
  return await saveByRanks({
    engine: attempt.engine instanceof FileEngine
      ? attempt.engine
      : await engineOf(storage, rank, step, attempt.engine),
    info: CommitInfo.of(tag),
    overwrite,
    frozen: frozenTensors({ ...tensors, ...attempt.tensors }, {
      state: { rank, step, numbers: new Float32Array([rank]) },
      provenance: { step },
    }),
    ranks: { ...ranks, ...attempt.ranks },
    ...signal === undefined ? {} : { signal },
  });
}

/** All ranks at the same time, each with what `of` says of it. */
export function saveAll(
  storage: Storage,
  worldSize: number,
  of: (rank: number) => Attempt = () => ({}),
): Promise<PromiseSettledResult<CommitReport>[]> {
  return Promise.allSettled(
    Array.from({ length: worldSize }, (_, rank) => saveRank(storage, rank, worldSize, of(rank))),
  );
}

/** Options of ranks that wait so long for each other by a clock that they share. */
export function waiting(clock: VirtualClock, timeoutMs: number): Pick<Attempt, "ranks"> {
  return { ranks: { clock, pollMs: 1, timeoutMs } };
}

/** What rank 1 leaves when it has said what it has, and when its part is durable: its letters in calls of a save. */
export const STATE_OF_1 = "-letter-0-1";
export const DONE_OF_1 = "-letter-2-1";

/** A storage that does something when a message of this name has been left in it. */
export function whenSent(disk: Storage, name: string, then: () => void): FaultStorage {
  const storage = new FaultStorage(disk);
  storage.move = async (from, to, options) => {
    await FaultStorage.prototype.move.call(storage, from, to, options);
    if (to.endsWith(name)) then();
  };
  return storage;
}

export async function filesIn(storage: Storage, directory: string): Promise<string[]> {
  return (await storage.list(directory)).map(({ name }) => name);
}

/** What became of each rank, as its error's message. */
export function messages(results: PromiseSettledResult<unknown>[]): string[] {
  return results.map((result) => result.status === "rejected" ? `${result.reason.message}` : "saved");
}

/** What became of each rank, as its error's code. */
export function codes(results: PromiseSettledResult<unknown>[]): string[] {
  return results.map((result) => result.status === "rejected" ? `${result.reason.code}` : "saved");
}
