import { bytesAsHex } from "../../base/hex.ts";
import { checkOptions } from "../../base/options/options.ts";
import { throwIfAborted } from "../../base/abort.ts";
import { alignUp } from "../../base/checked.ts";
import { CairnError } from "../../base/errors.ts";
import { inSlices } from "../../base/slices.ts";
import { ChunkEncoder } from "./chunk_encoder.ts";
import { type ChunkCut, DEFAULT_CHUNK_BYTES, planChunks } from "../format/chunk_plan.ts";
import { type ChunkRecord, chunkTableBytes } from "../format/chunk_table.ts";
import type { CodecChoice, EncodedChunk } from "../codec/choose.ts";
import type { PostedJob } from "../codec/codec_pool.ts";
import type { LentChunk } from "../codec/lent.ts";
import type { WriteRates } from "../codec/coding_rates.ts";
import { codecByName } from "../codec/table.ts";
import { CONTAINER_WRITER_OPTIONS, type ContainerWriterOptions } from "./container_writer_options.ts";
import { DATA_OFFSET, encodeHeader, type Header } from "../format/header.ts";
import { layoutTensors, type RawLayout } from "../format/layout.ts";
import { encodeManifest, type Manifest } from "../format/manifest.ts";
import { type RawGap, rawGaps } from "../format/raw_gaps.ts";
import type { ByteSink } from "../source.ts";
import { DEFAULT_MAX_TABLE_BYTES, encodeTail, expectedTailBytes } from "../format/tail.ts";
import { encodeTensorTable } from "../format/tensor_table.ts";
import { FILE_ALIGNMENT, TRAILER_BYTES, trailerChecksum } from "../format/trailer.ts";

/** A piece of the raw space that becomes one chunk, as a caller sees it who encodes some by itself. */
export interface PlannedCut extends ChunkCut {
  /** Whether bytes between tensors fall into it, which {@link ContainerWriter.write} makes zero. */
  readonly hasGap: boolean;
}

/** What was written. */
export interface WriteReport {
  /** In hexadecimal. */
  fileId: string;
  /** Bytes of the raw space: all tensors, and what lies between them. */
  rawBytes: number;
  /** Bytes of all chunks as stored. */
  storedBytes: number;
  /** Bytes of the whole file. */
  fileBytes: number;
  /** The checksum that stands in the file's trailer. As that covers all other checksums, it stands for every byte. */
  checksum: number;
  /** `rawBytes / storedBytes`, or 1 when there are none. */
  ratio: number;
  /** How many chunks it has. */
  chunks: number;
  /** Chunks by the name of their codec. */
  codecs: Record<string, number>;
  /** The codec or the mode that was asked for. */
  choice: CodecChoice;
  /**
   * What was measured on the way, and what was chosen by: with the mode `"fast"`, and where a GPU could encode. Else
   * absent.
   */
  rates?: WriteRates | undefined;
}

/**
 * Writes one container front to back. It holds one chunk of raw bytes (four for each thread of a pool, and
 * their stored forms) and the chunk table, whatever the size of the tensors. Equal tensors, manifest, file id
 * and options give equal bytes: with the codecs `"deflate"` and `"zstd"` only where the same implementations
 * of these are at work, with the mode `"fast"` only where it measures the same.
 *
 * Nothing is durable when `finish` resolves: that is the sink's affair.
 */
export class ContainerWriter {
  /** Where each tensor's bytes are in the raw space that {@link write} takes. */
  readonly layout: RawLayout;
  readonly #sink: ByteSink;
  readonly #choice: CodecChoice;
  readonly #encoder: ChunkEncoder;
  readonly #header: Header;
  readonly #cuts: readonly ChunkCut[];
  readonly #gaps: readonly RawGap[];
  readonly #signal: AbortSignal | undefined;
  readonly #onProgress: ContainerWriterOptions["onProgress"];
  readonly #chunks: ChunkRecord[] = [];
  readonly #inFlight: ChunkInFlight[] = [];
  #cutCount = 0;
  #buffer = new Uint8Array(0);
  #bufferedBytes = 0;
  #rawOffset = 0;
  #fileOffset = DATA_OFFSET;
  #nextGap = 0;
  #state: "ready" | "busy" | "finished" | "failed" = "ready";

  private constructor(sink: ByteSink, header: Header, plan: ChunkPlan, options: ContainerWriterOptions) {
    const { layout, cuts } = plan;
    this.layout = layout;
    this.#sink = sink;
    this.#header = header;
    this.#choice = choiceOf(options);
    this.#cuts = cuts;
    this.#encoder = new ChunkEncoder({
      choices: new Set([this.#choice, ...Object.values(options.tensorCodecs ?? {})]),
      pool: options.pool,
      sink,
      now: options.now ?? (() => performance.now()),
    });
    this.#gaps = rawGaps(layout);
    this.#signal = options.signal;
    this.#onProgress = options.onProgress;
  }

  /**
   * Checks the options and writes the header. Throws a `TypeError` or `RangeError` for invalid options, and
   * `CairnError("limit_exceeded")` for so many tensors or chunks that a reader would refuse the file.
   */
  static async create(sink: ByteSink, options: ContainerWriterOptions): Promise<ContainerWriter> {
    checkOptions("ContainerWriter.create()", options, CONTAINER_WRITER_OPTIONS);
    throwIfAborted(options.signal);
    const layout = layoutTensors(options.tensors);
    const cuts = plannedCuts(layout, options);
    const { bytes, header } = encodeHeader(options.fileId, expectedTailBytes(layout, cuts.length));
    const writer = new ContainerWriter(sink, header, { layout, cuts }, options);
    checkTableBytes(
      encodeTensorTable(writer.layout.tensors).byteLength + chunkTableBytes(writer.#cuts.length),
    );
    sink.expect?.(layout.rawByteLength);
    await sink.write(bytes);
    return writer;
  }

  /**
   * Takes the next bytes of the raw space, as few or as many as the caller likes; they may change again once
   * it has resolved. Bytes between tensors become zero, whatever comes. After an error or an abort the writer
   * is of no further use. Throws a `RangeError` for more bytes than the layout has.
   */
  async write(raw: Uint8Array): Promise<void> {
    this.#expect("ready");
    const left = this.layout.rawByteLength - this.#rawOffset - this.#bufferedBytes;
    if (raw.byteLength > left) {
      throw new RangeError(`Cannot write ${raw.byteLength} bytes: the layout takes ${left} more`);
    }
    await this.#exclusively(() => this.#take(raw));
  }

  /** Every choice that a chunk may have. */
  get choices(): ReadonlySet<CodecChoice> {
    return new Set(this.#cuts.map(({ choice }) => choice));
  }

  /** Where the raw space is cut into chunks. */
  get cuts(): PlannedCut[] {
    let gap = 0;
    return this.#cuts.map((cut) => {
      const end = cut.rawOffset + cut.rawLength;
      const first = gap;
      while ((this.#gaps[gap]?.start ?? Infinity) < end) gap++;
      return { ...cut, hasGap: gap > first };
    });
  }

  /**
   * Takes the next chunk as the caller has encoded it, instead of its raw bytes: all chunks before it have to be
   * complete. It may change again once this has resolved. Throws a `RangeError` where no chunk begins or where it
   * cannot be of the chunk's bytes: one with bytes between tensors has to come raw.
   */
  async writeEncoded(chunk: EncodedChunk): Promise<void> {
    this.#expect("ready");
    const cut = this.#cuts[this.#cutCount];
    const { codec, stored: { byteLength } } = chunk;
    if (cut === undefined || this.#bufferedBytes > 0) {
      throw new RangeError(
        `Cannot write an encoded chunk at ${this.#rawOffset + this.#bufferedBytes}: none begins there`,
      );
    }
    const fits = codec === "raw" ? byteLength === cut.rawLength : byteLength < cut.rawLength;
    if (!fits || this.#hasGap(cut)) {
      throw new RangeError(
        `Cannot write an encoded chunk of ${byteLength} bytes (${codec}) for ${cut.rawLength} raw bytes at ${cut.rawOffset}` +
          (fits ? ": there are bytes between tensors in it, so that it has to come raw" : ""),
      );
    }
    await this.#exclusively(async () => {
      throwIfAborted(this.#signal);
      this.#begin(cut);
      await this.#drain(0);
      await this.#store(cut, chunk);
    });
  }

  /**
   * Writes the tables, the manifest and the trailer. Of a large manifest a slice is encoded in each turn of the event
   * loop: it may not change before this has resolved. Throws a `RangeError` unless all of the raw space was written,
   * a `TypeError` for a manifest that cannot be saved or names a tensor that is not there, and
   * `CairnError("limit_exceeded")` for one that is too large; the manifest may then be tried again.
   */
  async finish(manifest: Manifest): Promise<WriteReport> {
    this.#expect("ready");
    if (this.#rawOffset !== this.layout.rawByteLength) {
      const written = this.#rawOffset + this.#bufferedBytes;
      throw new RangeError(
        `Cannot finish: ${written} of ${this.layout.rawByteLength} raw bytes were written`,
      );
    }
    const manifestBytes = await this.#encoded(manifest);
    await this.#exclusively(() => this.#drain(0));
    const tables = { layout: this.layout, chunks: this.#chunks, manifest: manifestBytes };
    const tail = encodeTail(tables, this.#header, this.#fileOffset);
    checkTableBytes(tail.byteLength);
    await this.#exclusively(() => this.#emit(tail));
    this.#state = "finished";
    return this.#report(trailerChecksum(tail.subarray(-TRAILER_BYTES)));
  }

  #expect(state: "ready"): void {
    if (this.#state === state) return;
    if (this.#state === "busy") throw new TypeError("Wait for one call of a ContainerWriter before the next");
    throw new CairnError("closed", `This ContainerWriter has ${this.#state}; make another`);
  }

  async #exclusively(work: () => Promise<void>): Promise<void> {
    this.#state = "busy";
    try {
      await work();
      this.#state = "ready";
    } finally {
      if (this.#state === "busy") {
        this.#state = "failed";
        for (const { job } of this.#inFlight.splice(0)) job.abandon();
      }
    }
  }

  async #take(raw: Uint8Array): Promise<void> {
    for (let at = 0; at < raw.byteLength;) {
      const cut = this.#cuts[this.#cutCount] as ChunkCut;
      const isWhole = this.#bufferedBytes === 0 && raw.byteLength - at >= cut.rawLength;
      if (isWhole && !this.#hasGap(cut)) {
        await this.#writeChunk(cut, raw.subarray(at, at + cut.rawLength));
        at += cut.rawLength;
        continue;
      }
      const end = Math.min(raw.byteLength, at + cut.rawLength - this.#bufferedBytes);
      this.#keep(cut, raw.subarray(at, end));
      at = end;
      if (this.#bufferedBytes < cut.rawLength) return;
      const chunk = this.#buffer.subarray(0, cut.rawLength);
      this.#zeroGaps(cut, chunk);
      this.#bufferedBytes = 0;
      await this.#writeChunk(cut, chunk);
    }
  }

  #keep(cut: ChunkCut, raw: Uint8Array): void {
    if (this.#buffer.byteLength < cut.rawLength) this.#buffer = new Uint8Array(cut.rawLength);
    this.#buffer.set(raw, this.#bufferedBytes);
    this.#bufferedBytes += raw.byteLength;
  }

  /**
   * Whether padding between tensors falls into the chunk. Gaps never cross a cut, as both keep to multiples
   * of 256.
   */
  #hasGap(cut: ChunkCut): boolean {
    const gap = this.#gaps[this.#nextGap];
    return gap !== undefined && gap.start < cut.rawOffset + cut.rawLength;
  }

  #zeroGaps(cut: ChunkCut, chunk: Uint8Array): void {
    for (; this.#hasGap(cut); this.#nextGap++) {
      const { start, end } = this.#gaps[this.#nextGap] as RawGap;
      chunk.fill(0, start - cut.rawOffset, end - cut.rawOffset);
    }
  }

  async #writeChunk(cut: ChunkCut, raw: Uint8Array): Promise<void> {
    throwIfAborted(this.#signal);
    this.#begin(cut);
    const names = this.#encoder.candidates(cut);
    if (this.#encoder.isForPool(cut, names)) {
      this.#inFlight.push({ cut, job: this.#encoder.beginInPool(cut, raw, names, this.#inFlight.length) });
      await this.#drain(this.#encoder.maxInFlight - 1);
    } else {
      await this.#drain(0);
      await this.#store(cut, this.#encoder.encodeHere(cut, raw, names));
    }
  }

  #begin(cut: ChunkCut): void {
    this.#cutCount++;
    this.#rawOffset += cut.rawLength;
  }

  /** Stores what the pool encodes, in order, until no more than `most` chunks are under way. */
  async #drain(most: number): Promise<void> {
    while (this.#inFlight.length > most) {
      const { cut, job } = this.#inFlight.shift() as ChunkInFlight;
      const chunk = await job.take();
      try {
        await this.#store(cut, chunk);
      } finally {
        chunk.release();
      }
    }
  }

  async #store(cut: ChunkCut, { codec, stored, storedCrc, rawCrc }: EncodedChunk): Promise<void> {
    const { rawOffset, rawLength, dtype } = cut;
    this.#chunks.push({
      rawOffset,
      rawLength,
      dtype,
      storedOffset: this.#fileOffset,
      storedLength: stored.byteLength,
      storedCrc,
      rawCrc,
      codec: codecByName(codec),
    });
    await this.#encoder.timeWrite(cut, stored.byteLength, () => this.#emit(stored, storedCrc));
    const padding = alignUp(this.#fileOffset, FILE_ALIGNMENT) - this.#fileOffset;
    if (padding > 0) await this.#emit(new Uint8Array(padding));
    this.#onProgress?.({ done: rawOffset + rawLength, total: this.layout.rawByteLength });
  }

  async #emit(bytes: Uint8Array, crc?: number): Promise<void> {
    throwIfAborted(this.#signal);
    await this.#sink.write(bytes, crc);
    this.#fileOffset += bytes.byteLength;
  }

  /** The manifest's bytes. After an error another may be tried. */
  async #encoded(manifest: Manifest): Promise<Uint8Array> {
    const names = new Set(this.layout.tensors.map((tensor) => tensor.name));
    this.#state = "busy";
    try {
      return await inSlices(encodeManifest(manifest, (name) => {
        if (names.has(name)) return;
        throw new TypeError(`The manifest refers to a tensor "${name}", which is not in the file`);
      }));
    } finally {
      this.#state = "ready";
    }
  }

  #report(checksum: number): WriteReport {
    const codecs: Record<string, number> = {};
    let storedBytes = 0;
    for (const chunk of this.#chunks) {
      storedBytes += chunk.storedLength;
      codecs[chunk.codec.name] = (codecs[chunk.codec.name] ?? 0) + 1;
    }
    const rawBytes = this.layout.rawByteLength;
    return {
      fileId: bytesAsHex(this.#header.fileId),
      rawBytes,
      storedBytes,
      fileBytes: this.#fileOffset,
      checksum,
      ratio: storedBytes === 0 ? 1 : rawBytes / storedBytes,
      chunks: this.#chunks.length,
      codecs,
      choice: this.#choice,
      rates: this.#choice === "fast" ? this.#encoder.rates() : undefined,
    };
  }
}

/** A chunk that another thread is at. */
interface ChunkInFlight {
  readonly cut: ChunkCut;
  readonly job: PostedJob<LentChunk>;
}

/** The raw space, and where it is cut. */
interface ChunkPlan {
  readonly layout: RawLayout;
  readonly cuts: readonly ChunkCut[];
}

function choiceOf({ codec, mode = "balanced" }: ContainerWriterOptions): CodecChoice {
  return codec ?? mode;
}

function plannedCuts(layout: RawLayout, options: ContainerWriterOptions): ChunkCut[] {
  const choices = new Map(Object.entries(options.tensorCodecs ?? {}));
  const names = new Set(layout.tensors.map((tensor) => tensor.name));
  for (const name of choices.keys()) {
    if (!names.has(name)) throw new TypeError(`tensorCodecs names a tensor "${name}", which is not there`);
  }
  const general = choiceOf(options);
  const chunkBytes = options.chunkBytes ?? DEFAULT_CHUNK_BYTES;
  return planChunks(layout, chunkBytes, (name) => choices.get(name) ?? general);
}

function checkTableBytes(byteLength: number): void {
  if (byteLength <= DEFAULT_MAX_TABLE_BYTES) return;
  throw new CairnError(
    "limit_exceeded",
    `The tables and the manifest take ${byteLength} bytes; ${DEFAULT_MAX_TABLE_BYTES} is the most. ` +
      "Use larger chunks, fewer tensors, or typed arrays instead of long lists in the state",
    { details: { limit: DEFAULT_MAX_TABLE_BYTES, value: byteLength } },
  );
}
