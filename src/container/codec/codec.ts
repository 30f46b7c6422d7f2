import type { DType } from "../../base/dtype.ts";

/** What reads chunks that a codec has encoded. A container that is read needs nothing else of a codec. */
export interface Decoder {
  /** The number that stands for this codec in a file. Never reused. */
  readonly id: number;
  /** As reports and options say it: `"planes"`. */
  readonly name: string;
  /**
   * The raw bytes again, exactly `rawLength` of them. `rawLength` is also the most it allocates and decodes.
   * Throws `CairnError("invalid_container")` for stored bytes that end early, go on too long or are no valid
   * code. May return `stored` itself; or a view of `into`, which has room for `rawLength` bytes.
   */
  decode(stored: Uint8Array, rawLength: number, dtype: DType, into?: Uint8Array): Uint8Array;
}

/**
 * One way to store a chunk's bytes. Codecs are pure and synchronous, and keep no reference to what they are
 * given.
 */
export interface Codec extends Decoder {
  /** Whether this runtime can encode; without it every runtime can. Decoding works everywhere. */
  readonly canEncode?: () => boolean;
  /**
   * The stored form of `raw`, whose elements are of `dtype`; or `undefined` where that does not pay, and the chunk is
   * better stored raw. May return `raw` itself; or a view of `into`, which has room for as many bytes as `raw` has.
   */
  encode(raw: Uint8Array, dtype: DType, into?: Uint8Array): Uint8Array | undefined;
}
