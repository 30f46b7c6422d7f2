import { CairnError } from "../../base/errors.ts";
import type { Codec } from "./codec.ts";

/** Stores a chunk as it is. */
export const rawCodec: Codec = {
  id: 0,
  name: "raw",
  encode(raw) {
    return raw;
  },
  decode(stored, rawLength) {
    if (stored.byteLength !== rawLength) {
      throw new CairnError(
        "invalid_container",
        `A raw chunk is stored in ${stored.byteLength} bytes; expected ${rawLength}`,
      );
    }
    return stored;
  },
};
