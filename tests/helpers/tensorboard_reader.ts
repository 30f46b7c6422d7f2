/*
 * A reader of TensorBoard's event files, after the descriptions of TFRecord (tensorflow/core/lib/io/record_writer.h) and
 * of event.proto. It shares no code with what writes them.
 */

/** One scalar of a summary. */
export interface Scalar {
  readonly step: number;
  readonly tag: string;
  readonly value: number;
}

/** What a file says. */
export interface EventFile {
  readonly version: string;
  readonly scalars: readonly Scalar[];
  /** Steps from which on an open TensorBoard forgets what it has. */
  readonly starts: readonly number[];
  readonly wallTimes: readonly number[];
}

/** CRC-32C, bit by bit. */
function castagnoli(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    for (let bit = 0; bit < 8; bit++) {
      const lowest = (crc ^ (byte >> bit)) & 1;
      crc = (crc >>> 1) ^ (lowest === 1 ? 0x82f63b78 : 0);
    }
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** Rotated right by 15 bits, plus a constant. */
function masked(bytes: Uint8Array): number {
  const crc = BigInt(castagnoli(bytes));
  const rotated = ((crc >> 15n) | (crc << 17n)) & 0xffffffffn;
  return Number((rotated + 0xa282ead8n) & 0xffffffffn);
}

/** The records of a file. Throws for one that is not whole or has a wrong checksum. */
export function readRecords(file: Uint8Array): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const records: Uint8Array[] = [];
  for (let at = 0; at < file.byteLength;) {
    const length = Number(view.getBigUint64(at, true));
    if (view.getUint32(at + 8, true) !== masked(file.subarray(at, at + 8))) {
      throw new Error(`length at ${at}`);
    }
    const payload = file.subarray(at + 12, at + 12 + length);
    if (view.getUint32(at + 12 + length, true) !== masked(payload)) throw new Error(`record at ${at}`);
    records.push(payload);
    at += 16 + length;
  }
  return records;
}

/** Fields of a message of protocol buffers: integers as bigint, everything else as its bytes. */
function fields(message: Uint8Array): [field: number, value: bigint | Uint8Array][] {
  const found: [number, bigint | Uint8Array][] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n;; shift += 7n) {
      const byte = message[at++];
      if (byte === undefined) throw new Error("a message ends within a number");
      value += BigInt(byte % 128) << shift;
      if (byte < 128) return value;
    }
  };
  const bytes = (length: number): Uint8Array => {
    if (at + length > message.length) throw new Error("a message ends within a field");
    at += length;
    return message.subarray(at - length, at);
  };
  while (at < message.length) {
    const key = Number(varint());
    const wire = key % 8;
    const value = wire === 0 ? varint() : bytes(wire === 1 ? 8 : wire === 5 ? 4 : Number(varint()));
    found.push([Math.floor(key / 8), value]);
  }
  return found;
}

function valueOf(message: Uint8Array, field: number): bigint | Uint8Array | undefined {
  return fields(message).find(([number]) => number === field)?.[1];
}

function bytesOf(message: Uint8Array, field: number): Uint8Array {
  const value = valueOf(message, field);
  return value instanceof Uint8Array ? value : new Uint8Array();
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads a whole event file. */
export function readEventFile(file: Uint8Array): EventFile {
  const [first = new Uint8Array(), ...events] = readRecords(file);
  const scalars: Scalar[] = [];
  const starts: number[] = [];
  for (const event of events) {
    const step = Number(valueOf(event, 2) ?? 0n);
    if (valueOf(bytesOf(event, 7), 1) === 1n) starts.push(step);
    for (const [number, value] of fields(bytesOf(event, 5))) {
      if (number !== 1 || !(value instanceof Uint8Array)) throw new Error("a summary has values");
      const tag = new TextDecoder().decode(bytesOf(value, 1));
      scalars.push({ step, tag, value: viewOf(bytesOf(value, 2)).getFloat32(0, true) });
    }
  }
  return {
    version: new TextDecoder().decode(bytesOf(first, 3)),
    scalars,
    starts,
    wallTimes: [first, ...events].map((event) => viewOf(bytesOf(event, 1)).getFloat64(0, true)),
  };
}
