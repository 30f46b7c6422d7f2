import { type DType, DTYPES } from "../../base/dtype.ts";
import type { CodecJob, CodecResult } from "./codec_job.ts";
import { codecById, codecByName, type CodecName } from "./table.ts";

/** Jobs that may be on a board at once, each in a slot of its own. */
export const BOARD_SLOTS = 256;

/** Words of the board: how many jobs were posted and taken so far, what sleepers wait for a change of, two flags. */
const POSTED = 0;
const TAKEN = 1;
const BELL = 2;
const CLOSED = 3;
const AWAITED = 4;
// Away from the words above, which every thread writes to: what shares a line of the cache is slow.
const QUEUE = 32;
const SLOTS = QUEUE + BOARD_SLOTS;

/** Words of a slot. The sums are those of the job, and then those of its result. */
const STATE = 0;
const TAKER = 1;
const MEMORY = 2;
const KIND = 3;
const INPUT_BYTES = 4;
const DTYPE = 5;
const CODECS = 6;
const RAW_LENGTH = 7;
const STORED_CRC = 8;
const RAW_CRC = 9;
const BYTE_LENGTH = 10;
const SLOT_WORDS = 16;

const STATES = { pending: 0, done: 1, failed: 2 } as const;
const KINDS = { encode: 0, decode: 1 } as const;
/** No thread. */
const NOBODY = -1;
const CODEC_BITS = 8;

/** A job that a thread has taken, in the slot whose memory has the number `memory`. */
export interface TakenJob {
  readonly slot: number;
  readonly inputBytes: number;
  readonly job: CodecJob;
}

/**
 * Where jobs are posted, and taken in the order in which they were: by whoever has time, so that nobody has to hand
 * them out. Words in memory that all threads see; one thread posts.
 */
export class JobBoard {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(4 * (SLOTS + BOARD_SLOTS * SLOT_WORDS))) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  /**
   * Posts a job whose input are the first bytes of the slot's memory, and wakes a thread.
   *
   * @param memory The number of that memory, by which a thread knows whether it has it.
   */
  post(slot: number, memory: number, inputBytes: number, job: CodecJob): void {
    const words = this.#words;
    const at = SLOTS + slot * SLOT_WORDS;
    words[at + STATE] = STATES.pending;
    words[at + TAKER] = NOBODY;
    words[at + MEMORY] = memory;
    words[at + INPUT_BYTES] = inputBytes;
    words[at + KIND] = KINDS[job.kind];
    if (job.kind === "encode") {
      words[at + DTYPE] = DTYPES[job.dtype].id;
      words[at + CODECS] = packed(job.names);
    } else {
      const { name, sums: { dtype, rawLength, storedCrc, rawCrc } } = job;
      words[at + DTYPE] = DTYPES[dtype].id;
      words[at + CODECS] = packed([name]);
      words[at + RAW_LENGTH] = rawLength;
      words[at + STORED_CRC] = storedCrc;
      words[at + RAW_CRC] = rawCrc;
    }
    const posted = Atomics.load(words, POSTED);
    words[QUEUE + posted % BOARD_SLOTS] = slot;
    Atomics.store(words, POSTED, posted + 1);
    Atomics.add(words, BELL, 1);
    Atomics.notify(words, BELL, 1);
  }

  /** A number that changes with each job that is posted. */
  get bell(): number {
    return Atomics.load(this.#words, BELL);
  }

  /**
   * Takes the job that has waited longest, if the thread has its memory; `"none"` where there is no job.
   *
   * @param thread A number of the thread, from 0 on.
   */
  take(thread: number, has: (slot: number, memory: number) => boolean): TakenJob | "none" | "not mine" {
    const words = this.#words;
    for (;;) {
      const taken = Atomics.load(words, TAKEN);
      if (taken === Atomics.load(words, POSTED)) return "none";
      const slot = Atomics.load(words, QUEUE + taken % BOARD_SLOTS);
      const at = SLOTS + slot * SLOT_WORDS;
      if (!has(slot, Atomics.load(words, at + MEMORY))) {
        if (taken === Atomics.load(words, TAKEN)) return "not mine";
      } else if (Atomics.compareExchange(words, TAKEN, taken, taken + 1) === taken) {
        Atomics.store(words, at + TAKER, thread);
        return { slot, inputBytes: words[at + INPUT_BYTES] as number, job: this.#jobIn(at) };
      }
    }
  }

  /** Says what a job has come to; nothing where it failed: the thread that posted it finds out why. */
  finish(slot: number, result: CodecResult | undefined): void {
    const words = this.#words;
    const at = SLOTS + slot * SLOT_WORDS;
    if (result !== undefined) {
      words[at + BYTE_LENGTH] = result.byteLength;
      words[at + CODECS] = packed([result.codec]);
      words[at + STORED_CRC] = result.storedCrc;
      words[at + RAW_CRC] = result.rawCrc;
    }
    Atomics.store(words, at + STATE, result === undefined ? STATES.failed : STATES.done);
  }

  /** What a job has come to, `"failed"`, or `undefined` while it is not done. */
  result(slot: number): CodecResult | "failed" | undefined {
    const words = this.#words;
    const at = SLOTS + slot * SLOT_WORDS;
    const state = Atomics.load(words, at + STATE);
    if (state !== STATES.done) return state === STATES.failed ? "failed" : undefined;
    const [codec = "raw"] = unpacked(words[at + CODECS] as number);
    return {
      byteLength: words[at + BYTE_LENGTH] as number,
      codec,
      storedCrc: (words[at + STORED_CRC] as number) >>> 0,
      rawCrc: (words[at + RAW_CRC] as number) >>> 0,
    };
  }

  /** Whether this thread has taken a job and not finished it. */
  isAt(slot: number, thread: number): boolean {
    const at = SLOTS + slot * SLOT_WORDS;
    return Atomics.load(this.#words, at + STATE) === STATES.pending &&
      Atomics.load(this.#words, at + TAKER) === thread;
  }

  /** Sleeps until the bell is another than `bell`. Not for a thread that has more to do. */
  sleep(bell: number): void {
    Atomics.wait(this.#words, BELL, bell);
  }

  /** Asks to be told of the next job that is done. */
  await(): void {
    Atomics.store(this.#words, AWAITED, 1);
  }

  /** Whether somebody has asked since the last call. */
  takeAwaited(): boolean {
    return Atomics.exchange(this.#words, AWAITED, 0) === 1;
  }

  /** Whether no more jobs are taken. */
  get isClosed(): boolean {
    return Atomics.load(this.#words, CLOSED) === 1;
  }

  /** Ends the threads that sleep, and the others when they have done their job. */
  close(): void {
    Atomics.store(this.#words, CLOSED, 1);
    Atomics.add(this.#words, BELL, 1);
    Atomics.notify(this.#words, BELL);
  }

  #jobIn(at: number): CodecJob {
    const words = this.#words;
    const dtype = dtypeOf(words[at + DTYPE] as number);
    const names = unpacked(words[at + CODECS] as number);
    if (words[at + KIND] === KINDS.encode) return { kind: "encode", dtype, names };
    const [name = "raw"] = names;
    const rawLength = words[at + RAW_LENGTH] as number;
    const storedCrc = (words[at + STORED_CRC] as number) >>> 0;
    const rawCrc = (words[at + RAW_CRC] as number) >>> 0;
    return { kind: "decode", name, sums: { dtype, rawLength, storedCrc, rawCrc } };
  }
}

function dtypeOf(id: number): DType {
  return (Object.keys(DTYPES) as DType[]).find((dtype) => DTYPES[dtype].id === id) as DType;
}

/** Names of up to four codecs in a word. */
function packed(names: readonly CodecName[]): number {
  return names.reduce((word, name, i) => word | ((codecByName(name).id + 1) << (CODEC_BITS * i)), 0);
}

function unpacked(word: number): CodecName[] {
  const names: CodecName[] = [];
  for (let rest = word; rest !== 0; rest >>>= CODEC_BITS) {
    const codec = codecById((rest & ((1 << CODEC_BITS) - 1)) - 1);
    if (codec !== undefined) names.push(codec.name as CodecName);
  }
  return names;
}
