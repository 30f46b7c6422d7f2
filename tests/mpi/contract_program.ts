import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { MailboxGroup } from "../../src/checkpoint/ranks/mailbox_group.ts";
import type { ProcessGroup } from "../../src/checkpoint/ranks/process_group.ts";
import { MpiSession } from "../../src/mpi/mpi_session.ts";
import { type Bells, GROUP_CONTRACT, type GroupPromise } from "../checkpoint/ranks/process_group_contract.ts";

// One rank of several that mpiexec starts: keeps the promises of groups of this size, each in a group of its own.

const [directory = ""] = process.argv.slice(2);
/** Ranks that wait for a rank that has failed end by themselves. */
const timeoutMs = 60_000;
const session = await MpiSession.open({ timeoutMs, cutBytes: 2 ** 20 });
const { rank, size } = session;

/** Files that all ranks see. */
class BellsOfFiles implements Bells {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  ring(name: string): Promise<void> {
    writeFileSync(this.#pathOf(name), "");
    return Promise.resolve();
  }

  async heard(name: string): Promise<void> {
    const end = performance.now() + timeoutMs;
    while (!existsSync(this.#pathOf(name))) {
      if (performance.now() > end) throw new Error(`"${name}" has not rung`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  hasRung(name: string): Promise<boolean> {
    return Promise.resolve(existsSync(this.#pathOf(name)));
  }

  #pathOf(name: string): string {
    return join(directory, `${this.#prefix} ${name}`);
  }
}

/** Bytes that say who sent them to whom. */
function bytesOf(from: number, to: number, byteLength: number): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  for (let index = 0; index < byteLength; index++) {
    bytes[index] = from * 59 + to * 17 + index * 3 + (index >> 9);
  }
  return bytes;
}

function requireSame(found: Uint8Array | undefined, expected: Uint8Array, what: string): void {
  const at = expected.findIndex((byte, index) => byte !== found?.[index]);
  if (at === -1 && found?.byteLength === expected.byteLength) return;
  throw new Error(
    `${what}: ${found?.byteLength} bytes, expected ${expected.byteLength}; they differ at ${at}`,
  );
}

/** None, what just travels with its head and what does not, one piece of a cut message, and more. */
const LENGTHS = [0, 1, 4056, 4057, 70_001, 2 ** 20, 2 ** 20 + 1, 3 * 2 ** 20 + 5];

/** What groups of any size promise besides. */
const ANY_SIZE: Readonly<Record<string, (group: ProcessGroup, bells: Bells) => Promise<void>>> = {
  "payloads of any length come as they were sent, from any memory": async (group) => {
    for (const length of LENGTHS) {
      const pieces = await group.allToAll(
        Array.from({ length: size }, (_, to) => bytesOf(rank, to, length + to)),
      );
      pieces.forEach((piece, from) =>
        requireSame(piece, bytesOf(from, rank, length + rank), `${length} from ${from}`)
      );
    }
    const shared = new Uint8Array(new SharedArrayBuffer(100_000)).fill(rank + 1);
    const ofWasm = new Uint8Array(new WebAssembly.Memory({ initial: 2 }).buffer, 65_000, 50_000).fill(
      rank + 2,
    );
    for (const [bytes, plus] of [[shared, 1], [ofWasm, 2], [ofWasm.subarray(7, 20), 2]] as const) {
      const all = await group.allGather(bytes);
      all.forEach((one, from) => requireSame(one, new Uint8Array(bytes.length).fill(from + plus), "memory"));
    }
    for (let root = 0; root < size; root++) {
      const sent = root === rank ? bytesOf(root, 99, 2 ** 21) : undefined;
      requireSame(await group.broadcast(root, sent), bytesOf(root, 99, 2 ** 21), `broadcast of ${root}`);
    }
  },

  "while a call waits, timers fire": async (group, bells) => {
    if (rank === size - 1 && size > 1) await bells.heard("a timer of rank 0");
    const waiting = group.barrier();
    if (rank === 0) setTimeout(() => void bells.ring("a timer of rank 0"), 1);
    await waiting;
  },
};

const promises: readonly (readonly [string, GroupPromise])[] = [
  ...Object.entries(GROUP_CONTRACT).filter(([, promise]) => promise.size === size),
  ...Object.entries(ANY_SIZE).map(([name, run]) => [name, { size, run }] as const),
];
const failures: string[] = [];
for (const [index, [name, { run }]] of promises.entries()) {
  const group = new MailboxGroup(session.nextMailbox(), { timeoutMs });
  try {
    await run(group, new BellsOfFiles(String(index)));
  } catch (error) {
    failures.push(`${name}: ${error instanceof Error ? error.stack : error}`);
    await group.abort(error);
  }
  await group.close();
}
console.log(`RESULT ${JSON.stringify({ rank, promises: promises.length, failures })}`);
await session.leave();
