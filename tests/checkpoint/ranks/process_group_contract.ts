import { CairnError } from "../../../src/base/errors.ts";
import type { GroupOptions } from "../../../src/checkpoint/ranks/group_call.ts";
import type { ProcessGroup } from "../../../src/checkpoint/ranks/process_group.ts";

/** How ranks of a test tell each other what has happened, beside their group. */
export interface Bells {
  ring(name: string): Promise<void>;
  /** Resolves when it has rung. */
  heard(name: string): Promise<void>;
  hasRung(name: string): Promise<boolean>;
}

/** What is promised of a group: each rank runs it, wherever it lives, and throws where the promise is not kept. */
export interface GroupPromise {
  readonly size: number;
  run(group: ProcessGroup, bells: Bells): Promise<void>;
}

const MIB = 2 ** 20;
/** Of a wait for a rank that is known not to come. */
const SHORT = { timeoutMs: 1 };

/** Bytes that differ from rank to rank, and in each place. */
function bytesOf(rank: number, byteLength: number): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  for (let index = 0; index < byteLength; index++) bytes[index] = (rank + 1) * 31 + index * 7 + (index >> 8);
  return bytes;
}

/** What `ProcessGroup` promises, by name. Every implementation keeps all of it. */
export const GROUP_CONTRACT: Readonly<Record<string, GroupPromise>> = {
  "nobody leaves a barrier before all have come": {
    size: 3,
    async run(group, bells) {
      await bells.ring(`${group.rank} came`);
      await group.barrier();
      for (let rank = 0; rank < group.size; rank++) {
        expectSame(await bells.hasRung(`${rank} came`), true, `whether rank ${rank} had come`);
      }
    },
  },

  "a broadcast gives the bytes of any root to all": {
    size: 3,
    async run(group) {
      for (let root = 0; root < group.size; root++) {
        const sent = group.rank === root ? bytesOf(root, 100) : undefined;
        expectBytes(await group.broadcast(root, sent), bytesOf(root, 100));
      }
      const all = await group.broadcast(1, bytesOf(group.rank, 10));
      expectBytes(all, bytesOf(1, 10));
    },
  },

  "allGather gives the bytes of all in order of rank, of any length and none": {
    size: 3,
    async run(group) {
      const all = await group.allGather(bytesOf(group.rank, group.rank * 1000));
      expectSame(all.map(({ byteLength }) => byteLength), [0, 1000, 2000], "lengths");
      for (const [rank, bytes] of all.entries()) expectBytes(bytes, bytesOf(rank, rank * 1000));
    },
  },

  "allToAll gives each rank what every other one has for it, which may be nothing": {
    size: 3,
    async run(group) {
      const pieceOf = (from: number, to: number): Uint8Array =>
        from === to + 1 ? new Uint8Array() : bytesOf(10 * from + to, 5 + from + to);
      for (let round = 0; round < 2; round++) {
        const pieces = await group.allToAll([0, 1, 2].map((to) => pieceOf(group.rank, to)));
        expectSame(pieces.length, 3, "pieces");
        for (const [from, piece] of pieces.entries()) expectBytes(piece, pieceOf(from, group.rank));
      }
    },
  },

  "many MiB arrive byte by byte": {
    size: 2,
    async run(group) {
      const all = await group.allGather(bytesOf(group.rank, 5 * MIB + 3));
      for (const [rank, bytes] of all.entries()) expectBytes(bytes, bytesOf(rank, 5 * MIB + 3));
      const pieces = await group.allToAll([bytesOf(group.rank, 3 * MIB), bytesOf(group.rank + 7, MIB)]);
      for (const [rank, bytes] of pieces.entries()) {
        expectBytes(bytes, group.rank === 0 ? bytesOf(rank, 3 * MIB) : bytesOf(rank + 7, MIB));
      }
    },
  },

  "what was passed may change when the call resolves, and what came is the caller's own": {
    size: 2,
    async run(group, bells) {
      const sent = Uint8Array.of(1, 2, 3);
      if (group.rank === 0) {
        const own = await group.broadcast(0, sent);
        sent.fill(9);
        await bells.ring("changed");
        expectBytes(own, Uint8Array.of(1, 2, 3));
      } else {
        // A later read gives what was sent, whatever became of the buffer.
        await bells.heard("changed");
        expectBytes(await group.broadcast(0), Uint8Array.of(1, 2, 3));
      }
      const all = await group.allGather(bytesOf(group.rank, 20));
      for (const bytes of all) bytes.fill(group.rank + 100);
      await group.barrier();
      for (const bytes of all) expectBytes(bytes, new Uint8Array(20).fill(group.rank + 100));
    },
  },

  "hundreds of calls of all kinds come in their order, whichever rank is faster": {
    size: 3,
    async run(group) {
      for (let index = 0; index < 25; index++) {
        const root = index % group.size;
        const sent = group.rank === root ? Uint8Array.of(index) : undefined;
        for (let again = 0; again < 3; again++) {
          expectBytes(await group.broadcast(root, sent), Uint8Array.of(index));
        }
        const [, second] = await group.allGather(Uint8Array.of(index, group.rank));
        expectBytes(second, Uint8Array.of(index, 1));
        if (index % 5 === 0) await group.barrier();
      }
    },
  },

  "broadcasts in a row, however many, all arrive in their order": {
    size: 2,
    async run(group) {
      for (let index = 0; index < 70; index++) {
        const bytes = await group.broadcast(0, group.rank === 0 ? Uint8Array.of(index) : undefined);
        expectBytes(bytes, Uint8Array.of(index));
      }
      await group.barrier();
    },
  },

  "a rank by itself is a group too": {
    size: 1,
    async run(group) {
      await group.barrier();
      expectBytes(await group.broadcast(0, bytesOf(0, 4)), bytesOf(0, 4));
      expectBytes((await group.allGather(bytesOf(0, 5)))[0], bytesOf(0, 5));
      expectBytes((await group.allToAll([bytesOf(0, 6)]))[0], bytesOf(0, 6));
    },
  },

  "a wait for ranks that do not come ends in time, and says which they are": {
    size: 3,
    async run(group, bells) {
      await group.barrier();
      if (group.rank > 0) return await bells.heard("time is up");
      const error = await errorOf(group.allGather(Uint8Array.of(1), SHORT));
      expectSame(
        [error.code, error.details.ranks, error.details.limit],
        ["rank_missing", [1, 2], 1],
        "the error",
      );
      const later = await errorOf(group.barrier());
      expectSame([later.code, later.details.ranks], ["rank_missing", [1, 2]], "the error of a later call");
      await bells.ring("time is up");
    },
  },

  "a signal stops the waiting with its reason, and the group is over on this rank": {
    size: 2,
    async run(group, bells) {
      if (group.rank === 1) return await bells.heard("stopped");
      const stopping = new AbortController();
      const reason = new Error("enough");
      const waiting = reasonOf(group.barrier({ signal: stopping.signal }));
      stopping.abort(reason);
      expectSame(await waiting === reason, true, "whether it is the signal's reason");
      expectSame(await reasonOf(group.barrier()) === reason, true, "whether a later call says it too");
      await bells.ring("stopped");
    },
  },

  "a signal that is aborted already sends nothing": {
    size: 2,
    async run(group, bells) {
      if (group.rank === 1) {
        await bells.heard("stopped");
        expectSame((await errorOf(group.broadcast(0, undefined, SHORT))).code, "rank_missing", "the code");
        return await bells.ring("missed");
      }
      const reason = new Error("enough");
      const stopped = await reasonOf(
        group.broadcast(0, Uint8Array.of(1), { signal: AbortSignal.abort(reason) }),
      );
      expectSame(stopped === reason, true, "whether it is the signal's reason");
      await bells.ring("stopped");
      await bells.heard("missed");
    },
  },

  "a rank that aborts ends the calls of all, and says why": {
    size: 3,
    async run(group, bells) {
      if (group.rank === 1) {
        await group.abort(new CairnError("disk_full", "there is no room"));
        expectFailed(await errorOf(group.barrier()));
        await group.abort(new Error("the second reason is not told"));
        return await bells.ring("aborted");
      }
      // One is in a call already, the other one comes later.
      if (group.rank === 2) await bells.heard("aborted");
      expectFailed(await errorOf(group.barrier()));
      expectFailed(await errorOf(group.allGather(Uint8Array.of(1))));
      await group.abort(new Error("who was told does not tell"));
      expectFailed(await errorOf(group.barrier()));
    },
  },

  "a rank that aborts ends its own call as well": {
    size: 2,
    async run(group, bells) {
      if (group.rank === 0) return await bells.heard("aborted");
      const waiting = errorOf(group.barrier());
      await group.abort(new CairnError("disk_full", "there is no room"));
      expectFailed(await waiting);
      await bells.ring("aborted");
    },
  },

  "a rank that closes is missed at once, and what it had sent still arrives": {
    size: 3,
    async run(group, bells) {
      if (group.rank === 1) {
        await group.broadcast(1, bytesOf(1, 8));
        await group.close();
        return await bells.ring("closed");
      }
      await bells.heard("closed");
      expectBytes(await group.broadcast(1), bytesOf(1, 8));
      const error = await errorOf(group.barrier());
      expectSame([error.code, error.details.ranks], ["rank_missing", [1]], "the error");
    },
  },

  "after closing every call is refused, and closing again does nothing": {
    size: 2,
    async run(group) {
      await group.barrier();
      const waiting = group.rank === 0 ? errorOf(group.barrier()) : undefined;
      await group.close();
      if (waiting !== undefined) expectSame((await waiting).code, "closed", "the code of the call under way");
      await group.close();
      await group.abort(new Error("nobody hears it"));
      for (const call of [() => group.barrier(), () => group.allGather(Uint8Array.of(1))]) {
        expectSame((await errorOf(call())).code, "closed", "the code");
      }
    },
  },

  "ranks in different calls are told, or wait until the time is up": {
    size: 2,
    async run(group, bells) {
      const call = group.rank === 0 ? group.barrier(SHORT) : group.allGather(Uint8Array.of(1), SHORT);
      const { code } = await errorOf(call);
      expectSame(["state_mismatch", "rank_missing"].includes(code), true, `whether ${code} says it`);
      await bells.ring(`${group.rank} failed`);
      await bells.heard(`${1 - group.rank} failed`);
    },
  },

  "a mistake of the caller is refused, and the group goes on": {
    size: 2,
    async run(group) {
      const none = undefined as never;
      const mistakes: [string, () => Promise<unknown>][] = [
        ["TypeError", () => group.allGather(none)],
        ["TypeError", () => group.allToAll([none, none])],
        ["TypeError", () => group.broadcast(group.rank, none)],
        ["TypeError", () => group.barrier({ timeout: 1 } as never)],
        ["RangeError", () => group.allToAll([Uint8Array.of(1)])],
        ["RangeError", () => group.broadcast(2, Uint8Array.of(1))],
        ["RangeError", () => group.broadcast(-1)],
        ["RangeError", () => group.barrier({ timeoutMs: -1 })],
        ["RangeError", () => group.barrier({ timeoutMs: NaN })],
      ];
      for (const [name, call] of mistakes) {
        expectSame(((await reasonOf(call())) as Error).name, name, `the error of ${call}`);
      }
      const first = group.allGather(Uint8Array.of(group.rank));
      expectSame(
        ((await reasonOf(group.barrier())) as Error).name,
        "TypeError",
        "a call while one is under way",
      );
      expectSame((await first).map(([byte]) => byte), [0, 1], "the call that was under way");
    },
  },
};

/** Runs a promise with all ranks in this process. The groups are closed afterwards, whatever happened. */
export async function keepPromise(
  { size, run }: GroupPromise,
  open: (size: number, options: GroupOptions) => Promise<ProcessGroup[]>,
): Promise<void> {
  const groups = await open(size, {});
  expectSame(groups.map(({ rank }) => rank), groups.map((_, index) => index), "ranks");
  expectSame(groups.map((group) => group.size), groups.map(() => size), "sizes");
  const bells = new BellsOfOneProcess();
  const results = await Promise.allSettled(groups.map((group) =>
    run(group, bells).catch(async (error) => {
      bells.break(error);
      await group.abort(error);
      throw error;
    })
  ));
  for (const group of groups) await group[Symbol.asyncDispose]();
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

class BellsOfOneProcess implements Bells {
  readonly #rung = new Set<string>();
  readonly #listeners = new Set<() => void>();
  #error: unknown;

  ring(name: string): Promise<void> {
    this.#rung.add(name);
    for (const listener of this.#listeners) listener();
    return Promise.resolve();
  }

  heard(name: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (this.#error !== undefined) reject(this.#error);
        else if (this.#rung.has(name)) resolve();
      };
      this.#listeners.add(look);
      look();
    });
  }

  hasRung(name: string): Promise<boolean> {
    return Promise.resolve(this.#rung.has(name));
  }

  /** Nobody waits for a rank that has failed. */
  break(error: unknown): void {
    this.#error ??= error;
    for (const listener of this.#listeners) listener();
  }
}

function expectFailed(error: CairnError): void {
  const { code, details, cause } = error;
  const reason = cause instanceof CairnError ? [cause.code, cause.message] : cause;
  const expected = ["rank_failed", [1], ["disk_full", "there is no room"]];
  expectSame([code, details.ranks, reason], expected, "the error");
}

async function reasonOf(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    () => Promise.reject(new Error("A call resolved that has to reject")),
    (error: unknown) => error,
  );
}

async function errorOf(call: Promise<unknown>): Promise<CairnError> {
  const error = await reasonOf(call);
  if (error instanceof CairnError) return error;
  throw error;
}

function expectBytes(found: Uint8Array | undefined, expected: Uint8Array): void {
  let same = 0;
  while (same < expected.byteLength && found?.[same] === expected[same]) same++;
  if (found?.byteLength === expected.byteLength && same === expected.byteLength) return;
  throw new Error(`Expected ${shown(expected)}, found ${shown(found)}: they differ from byte ${same} on`);
}

function shown(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? "nothing" : `${bytes.byteLength} bytes [${bytes.subarray(0, 8)} …]`;
}

function expectSame(found: unknown, expected: unknown, what: string): void {
  const [is, shouldBe] = [found, expected].map((value) => JSON.stringify(value));
  if (is !== shouldBe) throw new Error(`Expected ${what} to be ${shouldBe}, found ${is}`);
}
