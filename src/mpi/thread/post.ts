import type { Foreign } from "../foreign.ts";
import type { Libc } from "../libc.ts";
import type { Head, Heads } from "./heads.ts";
import type { Command, Heading, MESSAGE, Report, ThreadStart } from "./protocol.ts";
import type { Requests } from "./requests.ts";

/** What the post is made of. */
export interface PostParts {
  readonly requests: Requests;
  readonly heads: Heads;
  readonly foreign: Foreign;
  readonly libc: Libc;
  readonly start: ThreadStart;
  readonly rank: number;
  readonly size: number;
  readonly MESSAGE: typeof MESSAGE;
  tell(report: Report, transfer?: readonly ArrayBuffer[]): void;
}

/** What brings messages to ranks and takes those that come, each in memory of its own. */
export interface Post {
  send(command: Extract<Command, { op: "send" }>): void;
  lend(command: Extract<Command, { op: "lend" }>): void;
  copy(command: Extract<Command, { op: "copy" }>): void;
  leave(): void;
  /** Whether messages are on their way to or from this rank that MPI was not done with when last asked. */
  isBusy(): boolean;
  /** Whether every rank wants to leave, this one too, and nothing is on its way any more. */
  isOver(): boolean;
}

/**
 * A message is a head, with which a short payload travels, and otherwise a body after it, in pieces that MPI can count.
 * One receive for a head of each rank is always open; memory for a body is made when its head has come. It is sent to
 * a thread as text, and sees nothing but what it is given.
 */
export function makePost(parts: PostParts): Post {
  const { requests, heads, foreign, libc, start: { inlineBytes, cutBytes }, rank, size, MESSAGE, tell } =
    parts;
  const [HEAD, BODY] = [1, 2];
  const others = Array.from({ length: size }, (_, other) => other).filter((other) => other !== rank);
  const leaving = new Set<number>();
  let isLeaving = false;
  let underWay = 0;
  const sendHead = (to: number, head: Head, payload?: ArrayBuffer): void => {
    const bytes = new Uint8Array(new ArrayBuffer(Math.max(128, heads.bytes + (payload?.byteLength ?? 0))));
    heads.write(bytes, head);
    if (payload !== undefined) bytes.set(new Uint8Array(payload), heads.bytes);
    underWay++;
    const { byteLength } = bytes;
    const done = (): void => void underWay--;
    requests.send({
      address: foreign.addressOf(bytes),
      byteLength,
      rank: to,
      tag: HEAD,
      memory: bytes,
      done,
    });
  };
  /** Hands a body over in pieces. */
  const inPieces = (
    move: Requests["send"],
    body: { rank: number; address: number; byteLength: number; memory?: unknown; done: () => void },
  ): void => {
    let left = Math.ceil(body.byteLength / cutBytes);
    underWay++;
    for (let at = 0; at < body.byteLength; at += cutBytes) {
      move({
        ...body,
        address: body.address + at,
        byteLength: Math.min(cutBytes, body.byteLength - at),
        tag: BODY,
        done: () => {
          if (--left > 0) return;
          underWay--;
          body.done();
        },
      });
    }
  };
  const take = (from: number, { byteLength, ...heading }: Head, bytes: Uint8Array): void => {
    const came = (payload: ArrayBuffer): void =>
      tell({ op: "came", from, heading, bytes: payload }, [payload]);
    if (byteLength <= inlineBytes) {
      const payload = new ArrayBuffer(byteLength);
      new Uint8Array(payload).set(bytes.subarray(heads.bytes, heads.bytes + byteLength));
      return came(payload);
    }
    const memory = new Uint8Array(new ArrayBuffer(byteLength));
    const address = foreign.addressOf(memory);
    inPieces(requests.receive, {
      rank: from,
      address,
      byteLength,
      memory,
      done: () => came(memory.buffer as ArrayBuffer),
    });
  };
  const listen = (from: number): void => {
    const bytes = new Uint8Array(new ArrayBuffer(heads.bytes + Math.max(128, inlineBytes)));
    const address = foreign.addressOf(bytes);
    const again = (): void =>
      requests.receive({ address, byteLength: bytes.byteLength, rank: from, tag: HEAD, memory: bytes, done });
    const done = (): void => {
      const head = heads.read(bytes);
      // Nothing comes after it.
      if (head.kind === MESSAGE.leaving) return void leaving.add(from);
      take(from, head, bytes);
      again();
    };
    again();
  };
  for (const other of others) listen(other);
  return {
    send({ to, heading, bytes }) {
      for (const other of to) sendHead(other, { ...heading, byteLength: bytes.byteLength }, bytes);
    },
    lend({ to, heading, address, byteLength, id }) {
      for (const other of to) {
        sendHead(other, { ...heading, byteLength });
        inPieces(requests.send, {
          rank: other,
          address,
          byteLength,
          done: () => tell({ op: "taken", id, by: other }),
        });
      }
    },
    copy({ address, byteLength, id }) {
      const bytes = new Uint8Array(new ArrayBuffer(byteLength));
      libc.memcpy(foreign.addressOf(bytes), address, byteLength);
      tell({ op: "copied", id, bytes: bytes.buffer }, [bytes.buffer]);
    },
    leave() {
      isLeaving = true;
      const heading: Heading = { kind: MESSAGE.leaving, group: 0, number: 0, call: 0 };
      for (const other of others) sendHead(other, { ...heading, byteLength: 0 });
    },
    isBusy: () => underWay > 0,
    isOver: () => isLeaving && leaving.size === others.length && underWay === 0,
  };
}
