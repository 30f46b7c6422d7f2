import { concatenated } from "../base/bytes/concatenated.ts";
import { CairnError } from "../base/errors.ts";

/** Where a container's bytes are read from: anything that can be read at an offset. */
export interface ByteSource {
  /** Length of the whole source in bytes. */
  readonly byteLength: number;
  /** Whether {@link read} fills memory that is shared between threads as well as any other. */
  readonly fillsShared?: boolean;
  /** About how many bytes to ask for at once, where there is a choice: more for a source that takes long to answer. */
  readonly preferredReadBytes?: number;
  /**
   * Fills all of `into` with the bytes from `offset` on, or throws `CairnError("truncated")`. A source that takes its
   * time, such as a server, stops at `signal`; others need not look at it.
   */
  read(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void>;
  /** Gives back what the source holds open. */
  close?(): Promise<void>;
}

/** Where a container's bytes are written to, front to back. */
export interface ByteSink {
  /**
   * How many bytes are durable a second later, where that is known. The mode `fast` goes by it, else by how long
   * `write` takes.
   */
  readonly durableBytesPerSecond?: number | undefined;
  /** Whether {@link write} takes bytes that are shared between threads as well as any other. */
  readonly takesShared?: boolean | undefined;
  /** Is told before the first byte how many there are before compression. */
  expect?(rawBytes: number): void;
  /**
   * Takes all the bytes, and keeps no reference to them after it resolves. `crc` is their CRC-32, where that is
   * known.
   */
  write(bytes: Uint8Array, crc?: number): Promise<void>;
}

/** A source over bytes in memory. It keeps a reference to them and copies nothing until it is read. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    byteLength: bytes.byteLength,
    fillsShared: true,
    read(offset, into) {
      const end = offset + into.byteLength;
      if (end > bytes.byteLength) {
        return Promise.reject(
          new CairnError(
            "truncated",
            `Cannot read bytes ${offset} to ${end}: there are ${bytes.byteLength}`,
            {
              details: { offset },
            },
          ),
        );
      }
      into.set(bytes.subarray(offset, end));
      return Promise.resolve();
    },
  };
}

/** A sink that collects what is written in memory. */
export class BytesSink implements ByteSink {
  readonly #pieces: Uint8Array[] = [];

  write(bytes: Uint8Array): Promise<void> {
    this.#pieces.push(bytes.slice());
    return Promise.resolve();
  }

  /** All that was written so far, as one copy. */
  toBytes(): Uint8Array {
    return concatenated(this.#pieces);
  }
}
