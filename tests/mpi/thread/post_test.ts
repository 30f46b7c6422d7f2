import { describe, expect, test } from "bun:test";
import type { Foreign } from "../../../src/mpi/foreign.ts";
import type { Libc } from "../../../src/mpi/libc.ts";
import { makeHeads } from "../../../src/mpi/thread/heads.ts";
import { makePost, type Post } from "../../../src/mpi/thread/post.ts";
import { MESSAGE, type Report, type ThreadStart } from "../../../src/mpi/thread/protocol.ts";
import type { Message, Requests } from "../../../src/mpi/thread/requests.ts";

/** Memory with addresses, as C sees it. */
class Memory {
  readonly #known: { readonly bytes: Uint8Array; readonly address: number }[] = [];
  #next = 2 ** 20;

  addressOf(bytes: Uint8Array): number {
    const known = this.#known.find((one) => one.bytes.buffer === bytes.buffer);
    if (known !== undefined) return known.address + bytes.byteOffset;
    const address = this.#next;
    this.#next += bytes.buffer.byteLength + 4096;
    this.#known.push({ bytes: new Uint8Array(bytes.buffer), address });
    return address + bytes.byteOffset;
  }

  at(address: number, byteLength: number): Uint8Array {
    const found = this.#known.find((one) =>
      address >= one.address && address + byteLength <= one.address + one.bytes.byteLength
    );
    if (found === undefined) throw new Error(`nothing lies at ${address}`);
    return found.bytes.subarray(address - found.address, address - found.address + byteLength);
  }
}

/** Ranks whose messages lie in queues, by who sends to whom and the tag, until `deliver` is called. */
class Ranks {
  readonly memory = new Memory();
  readonly posts: Post[] = [];
  readonly reports: Report[][] = [];
  readonly lengths: number[] = [];
  readonly #sent = new Map<string, Message[]>();
  readonly #awaited = new Map<string, Message[]>();

  constructor(size: number, { inlineBytes, cutBytes }: { inlineBytes: number; cutBytes: number }) {
    const foreign = { addressOf: (bytes: Uint8Array) => this.memory.addressOf(bytes) } as Foreign;
    const start = { inlineBytes, cutBytes } as ThreadStart;
    const libc = {
      memcpy: (to: number, from: number, length: number) => {
        this.memory.at(to, length).set(this.memory.at(from, length));
        return to;
      },
    } as unknown as Libc;
    for (let rank = 0; rank < size; rank++) {
      const reports: Report[] = [];
      const requests: Requests = {
        send: (message) => this.#put(this.#sent, `${rank} to ${message.rank}, ${message.tag}`, message),
        receive: (message) => this.#put(this.#awaited, `${message.rank} to ${rank}, ${message.tag}`, message),
        goOn: () => false,
        check: () => {},
      };
      const tell = (report: Report): void => void reports.push(report);
      this.reports.push(reports);
      this.posts.push(
        makePost({ requests, heads: makeHeads(), foreign, libc, start, rank, size, MESSAGE, tell }),
      );
    }
  }

  /** Moves everything that somebody waits for. */
  deliver(): void {
    for (let isAnyMoved = true; isAnyMoved;) {
      isAnyMoved = false;
      for (const [key, messages] of this.#sent) {
        const to = messages.length > 0 ? this.#awaited.get(key)?.shift() : undefined;
        if (to === undefined) continue;
        const from = messages.shift();
        if (from === undefined) continue;
        expect(from.byteLength).toBeLessThanOrEqual(to.byteLength);
        this.lengths.push(from.byteLength);
        this.memory.at(to.address, from.byteLength).set(this.memory.at(from.address, from.byteLength));
        from.done();
        to.done();
        isAnyMoved = true;
      }
    }
  }

  #put(queues: Map<string, Message[]>, key: string, message: Message): void {
    queues.set(key, [...queues.get(key) ?? [], message]);
  }
}

const heading = { kind: MESSAGE.letter, group: 3, number: 2 ** 40, call: 2 };

describe("the post between ranks", () => {
  test("cuts what is longer than a message may be, and tells who has taken it", () => {
    const ranks = new Ranks(3, { inlineBytes: 8, cutBytes: 100 });
    const bytes = Uint8Array.from({ length: 250 }, (_, index) => index);
    const address = ranks.memory.addressOf(bytes);
    ranks.posts[0]?.lend({ op: "lend", to: [1, 2], heading, address, byteLength: 250, id: 7 });
    expect([ranks.posts[0]?.isBusy(), ranks.reports]).toEqual([true, [[], [], []]]);
    ranks.deliver();
    expect(ranks.reports[0]).toEqual([{ op: "taken", id: 7, by: 1 }, { op: "taken", id: 7, by: 2 }]);
    for (const reports of ranks.reports.slice(1)) {
      expect(reports).toEqual([{ op: "came", from: 0, heading, bytes: bytes.buffer }]);
    }
    expect(Math.max(...ranks.lengths)).toBeLessThanOrEqual(128);
    expect(ranks.lengths.filter((length) => length === 50)).toHaveLength(2);
    expect(ranks.posts[0]?.isBusy()).toBe(false);
  });

  test("keeps the order of long and short messages of each kind, and what was sent may change at once", () => {
    const ranks = new Ranks(2, { inlineBytes: 8, cutBytes: 100 });
    const short = Uint8Array.of(1, 2, 3);
    ranks.posts[1]?.send({ op: "send", to: [0], heading, bytes: short.buffer });
    short.fill(9);
    ranks.posts[1]?.send({
      op: "send",
      to: [0],
      heading: { ...heading, number: 1 },
      bytes: new ArrayBuffer(0),
    });
    ranks.deliver();
    expect(ranks.reports[0]).toEqual([
      { op: "came", from: 1, heading, bytes: Uint8Array.of(1, 2, 3).buffer },
      { op: "came", from: 1, heading: { ...heading, number: 1 }, bytes: new ArrayBuffer(0) },
    ]);
  });

  test("is over when all want to leave, and not before this rank does", () => {
    const ranks = new Ranks(2, { inlineBytes: 8, cutBytes: 100 });
    const over = (): (boolean | undefined)[] => ranks.posts.map((post) => post.isOver());
    ranks.posts[0]?.leave();
    ranks.deliver();
    expect(over()).toEqual([false, false]);
    const bytes = new Uint8Array(300);
    const address = ranks.memory.addressOf(bytes);
    ranks.posts[1]?.lend({ op: "lend", to: [0], heading, address, byteLength: 300, id: 1 });
    ranks.posts[1]?.leave();
    expect(over()).toEqual([false, false]);
    ranks.deliver();
    expect(over()).toEqual([true, true]);
  });

  test("copies for this rank itself", () => {
    const ranks = new Ranks(1, { inlineBytes: 8, cutBytes: 100 });
    const bytes = Uint8Array.of(5, 6, 7);
    ranks.posts[0]?.copy({ op: "copy", address: ranks.memory.addressOf(bytes), byteLength: 3, id: 4 });
    expect(ranks.reports[0]).toEqual([{ op: "copied", id: 4, bytes: bytes.buffer }]);
  });

  test("refuses a head of another version", () => {
    const heads = makeHeads();
    const bytes = new Uint8Array(heads.bytes);
    heads.write(bytes, { ...heading, byteLength: 2 ** 40 });
    expect(heads.read(bytes)).toEqual({ ...heading, byteLength: 2 ** 40 });
    bytes[3] = 0;
    expect(() => heads.read(bytes)).toThrow("speaks another version");
  });
});
