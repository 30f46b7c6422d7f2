import { rmSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "../../src/base/crc32/crc32.ts";
import { codecByName } from "../../src/container/codec/table.ts";
import { BufferUsage } from "../../src/gpu/constants.ts";
import { ReadbackRing } from "../../src/gpu/readback.ts";
import { CodecThreads } from "./codec_threads.ts";
import { type BenchDisk, checkBareFile, hasDirectWrites, readBare, writeBare } from "./disk.ts";
import { medianOf, raced, rate, scaled, type Timed } from "./figures.ts";
import type { BenchState } from "./state.ts";
import type { Contender } from "../interleaved.ts";

const CHUNK_BYTES = 1 << 20;
const PIECE_BYTES = 8 * 1024 * 1024;

/**
 * The least that a save or a load has to do, each part by itself. Rows measure some of them in their own rounds, so
 * that a figure and its ceiling are of the same minutes.
 */
export class Ceilings {
  /** Bytes of all chunks of the state by the codec `planes`. */
  readonly storedBytes: number;
  readonly #state: BenchState;
  readonly #directory: string;
  readonly #disk: BenchDisk;
  readonly #threads: CodecThreads;
  readonly #copies: readonly GPUBuffer[];

  private constructor(state: BenchState, directory: string, disk: BenchDisk, threads: CodecThreads) {
    this.#state = state;
    this.#directory = directory;
    this.#disk = disk;
    this.#threads = threads;
    this.storedBytes = chunksOf(state).reduce((sum, chunk) => sum + encoded(chunk).byteLength, 0);
    this.#copies = state.slabs().map(({ byteLength }, index) =>
      state.store.gpu.createBuffer(
        `bare copy ${index}`,
        byteLength,
        BufferUsage.COPY_DST | BufferUsage.COPY_SRC,
      )
    );
  }

  static async open(state: BenchState, directory: string, disk: BenchDisk): Promise<Ceilings> {
    return new Ceilings(state, directory, disk, await CodecThreads.start(state));
  }

  /** Prints each of them alone, and what it takes to encode and decode on this thread besides. */
  async print(rounds: number): Promise<void> {
    const path = join(this.#directory, "to-read");
    writeBare(this.#state, path, { disk: this.#disk, isDirect: false });
    const contenders = [
      ...onThisThread(this.#state),
      this.encoding(),
      this.decoding(),
      ...this.durableWrites(),
      this.cachedRead(path, this.#state.bytes.byteLength),
      this.gpuCopy(),
      this.upload(),
      readBack(this.#state),
    ];
    const times = await raced(contenders, rounds);
    rmSync(path);
    for (const [name, timed] of times) {
      const whole = this.scaled(name, timed);
      const { spread } = medianOf(whole.ms);
      console.log(
        `  ${name.padEnd(42)} ${rate(this.#state.bytes.byteLength, whole)}, spread ${spread.toFixed(2)}`,
      );
    }
    console.log(
      `  ${"planes makes it smaller by".padEnd(42)} ${
        (this.#state.bytes.byteLength / this.storedBytes).toFixed(3)
      }x`,
    );
  }

  /** The times of one ceiling for the whole state: two are measured with a sample of it. */
  scaled(name: string, timed: Timed): Timed {
    return name.endsWith("on both cores") ? scaled(timed, this.#threads.scale) : timed;
  }

  encoding(): Contender<unknown> {
    return { name: "encode on both cores", run: () => this.#threads.run("encode"), check: () => {} };
  }

  decoding(): Contender<unknown> {
    return { name: "decode on both cores", run: () => this.#threads.run("decode"), check: () => {} };
  }

  /** A durable file of the state's first bytes, written in a loop: through the cache and around it. */
  durableWrites(byteLength: number = this.#state.bytes.byteLength, what = ""): Contender<unknown>[] {
    return [false, ...hasDirectWrites ? [true] : []].map((isDirect) => {
      const path = join(this.#directory, `${isDirect ? "direct" : "buffered"}${byteLength}`);
      return {
        name: `bare write loop${what}, ${isDirect ? "O_DIRECT" : "buffered"}`,
        run: () => {
          this.#state.mark();
          writeBare(this.#state, path, { disk: this.#disk, isDirect, byteLength });
        },
        check: () => {
          checkBareFile(this.#state, path, [{ rawOffset: 0, byteLength }]);
          rmSync(path);
        },
      };
    });
  }

  cachedRead(path: string, byteLength: number, what = ""): Contender<unknown> {
    const into = new Uint8Array(PIECE_BYTES);
    return { name: `cached read${what}`, run: () => readBare(path, byteLength, into), check: () => {} };
  }

  /** The slabs copied on the GPU and waited for, and nothing else. */
  gpuCopy(): Contender<unknown> {
    const { gpu } = this.#state.store;
    const pairs = this.#state.slabs().flatMap((slab, index) => {
      const copy = this.#copies[index];
      return copy === undefined ? [] : [{ ...slab, copy }];
    });
    return {
      name: "bare GPU copy",
      run: async () => {
        const encoder = gpu.device.createCommandEncoder();
        for (const { buffer, copy, byteLength } of pairs) {
          encoder.copyBufferToBuffer(buffer, 0, copy, 0, byteLength);
        }
        gpu.device.queue.submit([encoder.finish()]);
        await gpu.device.queue.onSubmittedWorkDone();
      },
      check: async () => {
        for (const { copy, byteLength, rawOffset } of pairs) {
          const [read = new Uint8Array()] = await gpu.read([{ buffer: copy, offset: 0, size: byteLength }]);
          this.#state.checkPart(read, rawOffset);
        }
      },
    };
  }

  /**
   * `queue.writeBuffer` of everything in pieces of 8 MiB, with a submit now and then that lets go of the copies, and
   * a fence.
   */
  upload(): Contender<unknown> {
    const { device } = this.#state.store.gpu;
    return {
      name: "writeBuffer loop",
      prepare: () => this.#state.clear(),
      run: async () => {
        for (const { buffer, rawOffset, byteLength } of this.#state.slabs()) {
          for (let at = 0; at < byteLength; at += PIECE_BYTES) {
            const length = Math.min(PIECE_BYTES, byteLength - at);
            device.queue.writeBuffer(buffer, at, this.#state.bytes, rawOffset + at, length);
            if (at % (8 * PIECE_BYTES) === 0) device.queue.submit([]);
          }
        }
        device.queue.submit([]);
        await device.queue.onSubmittedWorkDone();
      },
      check: () => this.#state.checkGpu(),
    };
  }

  async close(): Promise<void> {
    for (const buffer of this.#copies) this.#state.store.gpu.destroyBuffer(buffer);
    await this.#threads.close();
  }
}

function chunksOf({ bytes }: BenchState): Uint8Array[] {
  return Array.from(
    { length: Math.ceil(bytes.byteLength / CHUNK_BYTES) },
    (_, index) => bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES),
  );
}

function encoded(chunk: Uint8Array): Uint8Array {
  return codecByName("planes").encode(chunk, "f32") ?? chunk;
}

/** Copying, summing up, encoding and decoding chunk by chunk on this thread, into memory that is used again. */
function onThisThread(state: BenchState): Contender<unknown>[] {
  const planes = codecByName("planes");
  const chunks = chunksOf(state);
  const stored = chunks.map((chunk) => encoded(chunk).slice());
  const into = new Uint8Array(CHUNK_BYTES);
  const stages: Record<string, (chunk: Uint8Array, index: number) => unknown> = {
    "copy in host memory": (chunk) => into.set(chunk),
    "checksum (CRC-32)": (chunk) => crc32(chunk),
    "encode on this thread": (chunk) => planes.encode(chunk, "f32", into),
    "decode on this thread": (chunk, index) => {
      const from = stored[index] ?? chunk;
      if (from.byteLength < chunk.byteLength) planes.decode(from, chunk.byteLength, "f32", into);
    },
  };
  return Object.entries(stages).map(([name, stage]) => ({
    name,
    run: () => chunks.forEach(stage),
    check: () => {},
  }));
}

function readBack(state: BenchState): Contender<unknown> {
  const ranges = state.slabs().map(({ buffer, byteLength }) => ({ buffer, offset: 0, size: byteLength }));
  return {
    name: "read back from the GPU",
    run: async () => {
      const ring = new ReadbackRing(state.store.gpu);
      for await (const _ of ring.stream(ranges));
      ring.close();
    },
    check: () => {},
  };
}
