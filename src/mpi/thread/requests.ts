import type { Foreign } from "../foreign.ts";
import type { MpiConstants } from "../library_kind.ts";
import type { MpiFunctions } from "../mpi_functions.ts";

/** A message that MPI has been given. */
export interface Message {
  /** Where it lies, in memory that is kept until it is done. */
  readonly address: number;
  readonly byteLength: number;
  /** The other rank. */
  readonly rank: number;
  readonly tag: number;
  /** What keeps the memory. */
  readonly memory?: unknown;
  /** Called once, when the memory belongs to the caller again. */
  readonly done: () => void;
}

/** The messages that are on their way. */
export interface Requests {
  send(message: Message): void;
  receive(message: Message): void;
  /** Has MPI go on with all of them, and says whether one was done. */
  goOn(): boolean;
  /** @throws Error with what the library says of its code, unless that is 0. */
  check(code: number | bigint): void;
}

/** It is sent to a thread as text, and sees nothing but what it is given. */
export function makeRequests(foreign: Foreign, mpi: MpiFunctions, constants: MpiConstants): Requests {
  const { world, byte, ignoreStatus } = constants;
  const memoryOf = (byteLength: number): { bytes: Uint8Array; address: number } => {
    const bytes = new Uint8Array(new ArrayBuffer(byteLength));
    return { bytes, address: foreign.addressOf(bytes) };
  };
  const BLOCK = 256;
  const blocks: unknown[] = [];
  /** Where handles of requests are put, eight bytes each. */
  const free: number[] = [];
  const flagAt = memoryOf(128);
  const flag = new Int32Array(flagAt.bytes.buffer);
  const onTheirWay = new Map<number, Message>();
  const check = (code: number | bigint): void => {
    if (code === 0) return;
    const text = memoryOf(8192);
    const length = memoryOf(128);
    mpi.MPI_Error_string(Number(code), text.address, length.address);
    const end = text.bytes.indexOf(0);
    throw new Error(new TextDecoder().decode(text.bytes.subarray(0, end)) || `code ${code}`);
  };
  const begin = (start: MpiFunctions["MPI_Isend"], message: Message): void => {
    if (free.length === 0) {
      const block = memoryOf(BLOCK * 8);
      blocks.push(block);
      for (let index = 0; index < BLOCK; index++) free.push(block.address + index * 8);
    }
    const at = free.pop() ?? 0;
    const { address, byteLength, rank, tag } = message;
    check(start(address, byteLength, byte, rank, tag, world, at));
    onTheirWay.set(at, message);
  };
  return {
    send: (message) => begin(mpi.MPI_Isend, message),
    receive: (message) => begin(mpi.MPI_Irecv, message),
    goOn() {
      let isAnyDone = false;
      for (const [at, message] of onTheirWay) {
        check(mpi.MPI_Test(at, flagAt.address, ignoreStatus));
        if (flag[0] === 0) continue;
        isAnyDone = true;
        onTheirWay.delete(at);
        free.push(at);
        message.done();
      }
      return isAnyDone;
    },
    check,
  };
}
