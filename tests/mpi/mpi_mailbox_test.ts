import { describe, expect, test } from "bun:test";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import type { CairnError } from "../../src/base/errors.ts";
import { MailboxGroup } from "../../src/checkpoint/ranks/mailbox_group.ts";
import { type Carrier, mpiFailed, MpiMailbox } from "../../src/mpi/mpi_mailbox.ts";
import type { Heading } from "../../src/mpi/thread/protocol.ts";
import { GROUP_CONTRACT, keepPromise } from "../checkpoint/ranks/process_group_contract.ts";
import { thrownBy } from "../helpers/thrown.ts";

/** Carries messages within this process, each in a later turn, as MPI does between processes. */
class CarrierOfTurns implements Carrier {
  readonly rank: number;
  readonly size: number;
  readonly clock: Clock = systemClock;
  readonly inlineBytes = 64;
  readonly boxes: MpiMailbox[];
  failure: Error | undefined;
  /** What was lent and is not taken, while nobody takes anything. */
  isStuck = false;

  constructor(rank: number, size: number, boxes: MpiMailbox[]) {
    this.rank = rank;
    this.size = size;
    this.boxes = boxes;
  }

  send(to: readonly number[], heading: Heading, bytes: Uint8Array): void {
    const copy = new Uint8Array(bytes);
    for (const rank of to) {
      setTimeout(() => this.boxes[rank]?.take(this.rank, heading, new Uint8Array(copy)), 0);
    }
  }

  lend(to: readonly number[], heading: Heading, bytes: Uint8Array, taken: (by: number) => void): void {
    if (this.isStuck) return;
    for (const rank of to) {
      // Read in the last moment: what was lent must not have changed.
      setTimeout(() => {
        this.boxes[rank]?.take(this.rank, heading, new Uint8Array(bytes));
        taken(rank);
      }, 0);
    }
  }

  copy(bytes: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve) => setTimeout(() => resolve(new Uint8Array(bytes)), 0));
  }

  whileAwaited<T>(wait: Promise<T>): Promise<T> {
    return wait;
  }

  check(): void {
    if (this.failure !== undefined) throw this.failure;
  }

  drop(): void {}
}

function openAll(size: number): { groups: MailboxGroup[]; carriers: CarrierOfTurns[] } {
  const boxes: MpiMailbox[] = [];
  const carriers = Array.from({ length: size }, (_, rank) => new CarrierOfTurns(rank, size, boxes));
  boxes.push(...carriers.map((carrier) => new MpiMailbox(carrier, 0)));
  return { carriers, groups: boxes.map((box) => new MailboxGroup(box, { timeoutMs: 60_000 })) };
}

describe("a group over MPI's messages", () => {
  for (const [name, promise] of Object.entries(GROUP_CONTRACT)) {
    test(name, () => keepPromise(promise, (size) => Promise.resolve(openAll(size).groups)));
  }

  test("says who has not taken what was lent, when the time is up", async () => {
    const { groups: [first], carriers: [carrier] } = openAll(3);
    if (carrier !== undefined) carrier.isStuck = true;
    const error = await thrownBy(() =>
      first?.broadcast(0, new Uint8Array(100), { timeoutMs: 1 }) ?? Promise.resolve()
    );
    expect([error.code, (error as CairnError).details.ranks]).toEqual(["rank_missing", [1, 2]]);
  });

  test("fails with what MPI has failed of, also in the midst of a wait", async () => {
    const { groups: [first], carriers: [carrier] } = openAll(2);
    const waiting = thrownBy(() => first?.barrier() ?? Promise.resolve());
    if (carrier !== undefined) carrier.failure = mpiFailed(0, "out of memory");
    carrier?.boxes[0]?.change();
    const error = await waiting;
    expect([error.code, error.message]).toEqual(["rank_failed", "MPI has failed on rank 0: out of memory"]);
  });

  test("tells a reason that is longer than a message, cut", async () => {
    const { groups: [first, second] } = openAll(2);
    await first?.abort(new Error("x".repeat(1000)));
    const error = await thrownBy(() => second?.barrier() ?? Promise.resolve());
    expect(error.code).toBe("rank_failed");
    expect((error.cause as Error).message).toBe("x".repeat(64 - "commit_failed\n".length));
  });
});
