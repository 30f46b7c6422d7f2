import type { Heading } from "./protocol.ts";

/** What stands before a message's payload. */
export interface Head extends Heading {
  readonly byteLength: number;
}

/** The heads of messages: 40 bytes, after which a short payload follows. */
export interface Heads {
  readonly bytes: number;
  /** Writes a head at the beginning of `into`. */
  write(into: Uint8Array, head: Head): void;
  /** @throws Error for what no rank of the same version sends. */
  read(from: Uint8Array): Head;
}

/** It is sent to a thread as text, and sees nothing but what it is given. */
export function makeHeads(): Heads {
  /** "CRN1": another version has another one. */
  const MAGIC = 0x314e5243;
  const viewOf = ({ buffer, byteOffset }: Uint8Array): DataView => new DataView(buffer, byteOffset, 40);
  return {
    bytes: 40,
    write(into, { kind, group, number, call, byteLength }) {
      const view = viewOf(into);
      view.setUint32(0, MAGIC, true);
      view.setUint32(4, kind, true);
      view.setUint32(8, group, true);
      view.setUint32(12, call, true);
      view.setFloat64(16, number, true);
      view.setFloat64(24, byteLength, true);
    },
    read(from) {
      const view = viewOf(from);
      if (view.getUint32(0, true) !== MAGIC) {
        throw new Error("another rank speaks another version; use the same version of Cairn on every rank");
      }
      return {
        kind: view.getUint32(4, true),
        group: view.getUint32(8, true),
        call: view.getUint32(12, true),
        number: view.getFloat64(16, true),
        byteLength: view.getFloat64(24, true),
      };
    },
  };
}
