import { concatenated } from "../../base/bytes/concatenated.ts";
import type { KnownEntry, LogEntry } from "./log_entry.ts";

/**
 * The message `Event` of TensorBoard (event.proto), as much of it as scalars need: wall_time 1, step 2, file_version 3,
 * summary 5 of values with tag 1 and simple_value 2, session_log 7 with status 1.
 */
const FIELD = { wallTime: 1, step: 2, fileVersion: 3, summary: 5, sessionLog: 7 } as const;
const VALUE = { tag: 1, simpleValue: 2 } as const;
/** Wire types of protocol buffers. */
const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;
const SESSION_START = 1;

/** What a file begins with. */
export function versionEvent(timeMs: number): Uint8Array {
  return eventOf(timeMs, 0, field(FIELD.fileVersion, WIRE.bytes, textOf("brain.Event:2")));
}

/** Tells a TensorBoard that is open to forget what it has of this step and later ones. */
export function sessionEvent(timeMs: number, step: number): Uint8Array {
  const start = concatenated([varint(1 << 3 | WIRE.varint), varint(SESSION_START)]);
  return eventOf(timeMs, step, field(FIELD.sessionLog, WIRE.bytes, start));
}

/** The scalars of an entry; undefined where it has none. */
export function entryEvent(entry: LogEntry, timeMs: number): Uint8Array | undefined {
  const scalars = scalarsOf(entry);
  if (scalars.length === 0) return undefined;
  const values = scalars.map(([tag, value]) => {
    const number = new Uint8Array(4);
    new DataView(number.buffer).setFloat32(0, value, true);
    const parts = [
      field(VALUE.tag, WIRE.bytes, textOf(tag)),
      concatenated([varint(VALUE.simpleValue << 3 | WIRE.fixed32), number]),
    ];
    return field(1, WIRE.bytes, concatenated(parts));
  });
  return eventOf(timeMs, entry.step, field(FIELD.summary, WIRE.bytes, concatenated(values)));
}

function scalarsOf(entry: LogEntry): (readonly [tag: string, value: number])[] {
  switch (entry.kind) {
    case "step":
      return [
        ["loss", entry.loss],
        ...entry.rate === undefined ? [] : [["learning_rate", entry.rate] as const],
        ...Object.entries(entry.terms).map(([name, value]) => [`terms/${name}`, value] as const),
      ];
    case "epoch":
    case "validation":
      // Means since the epoch began have a curve of their own beside the losses of steps.
      return Object.entries(entry.metrics).map(([name, value]) =>
        [name.startsWith("val_") ? name : `epoch/${name}`, value] as const
      );
    case "save":
      return [
        ["save/stall_ms", entry.stallMs],
        ["save/duration_ms", entry.durationMs],
        ["save/bytes", entry.bytes],
      ];
    case "start":
      return entry.resumedFrom === "" ? [] : [["resume", entry.step]];
    case "end":
      return [];
  }
}

/** What of an event is looked at when a run goes on; undefined for one without scalars, such as the version. */
export function knownEvent(event: Uint8Array): KnownEntry | undefined {
  const fields = fieldsOf(event);
  const step = Number(fields.find(({ number }) => number === FIELD.step)?.integer ?? 0n);
  const summary = fields.find(({ number }) => number === FIELD.summary)?.bytes;
  if (summary === undefined) return undefined;
  const [first] = fieldsOf(summary);
  const value = fieldsOf(first?.bytes ?? new Uint8Array());
  const tag = new TextDecoder().decode(value.find(({ number }) => number === VALUE.tag)?.bytes);
  const number = value.find(({ number }) => number === VALUE.simpleValue)?.bytes;
  if (tag === "loss" && number !== undefined) {
    const loss = new DataView(number.buffer, number.byteOffset).getFloat32(0, true);
    return { kind: "step", step, loss };
  }
  return { kind: tag.startsWith("epoch/") ? "epoch" : tag, step };
}

function eventOf(timeMs: number, step: number, rest: Uint8Array): Uint8Array {
  const time = new Uint8Array(8);
  new DataView(time.buffer).setFloat64(0, timeMs / 1000, true);
  return concatenated([
    varint(FIELD.wallTime << 3 | WIRE.fixed64),
    time,
    varint(FIELD.step << 3 | WIRE.varint),
    varint(step),
    rest,
  ]);
}

function field(number: number, wire: number, bytes: Uint8Array): Uint8Array {
  return concatenated([varint(number << 3 | wire), varint(bytes.length), bytes]);
}

function textOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A whole number from 0, seven bits a byte. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(rest % 128 | 128);
  return Uint8Array.of(...bytes, rest);
}

interface WireField {
  readonly number: number;
  readonly integer?: bigint;
  readonly bytes?: Uint8Array;
}

/** The fields of a message whose checksum was right. */
function fieldsOf(message: Uint8Array): WireField[] {
  const fields: WireField[] = [];
  let at = 0;
  const integer = (): bigint => {
    let value = 0n;
    for (let shift = 0n; at < message.length; shift += 7n) {
      const byte = message[at++] ?? 0;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) break;
    }
    return value;
  };
  const take = (length: number): Uint8Array => message.subarray(at, at += length);
  while (at < message.length) {
    const key = Number(integer());
    const number = key >>> 3;
    if ((key & 7) === WIRE.varint) fields.push({ number, integer: integer() });
    else if ((key & 7) === WIRE.fixed64) fields.push({ number, bytes: take(8) });
    else if ((key & 7) === WIRE.fixed32) fields.push({ number, bytes: take(4) });
    else if ((key & 7) === WIRE.bytes) fields.push({ number, bytes: take(Number(integer())) });
    else break;
  }
  return fields;
}
