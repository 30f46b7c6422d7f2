/** Bytes of a file, from `start` up to but not including `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** What a `Range` header asks for: a part, nothing that is there, or all of it. */
export type AskedRange = ByteRange | "unsatisfiable" | "whole";

/**
 * The one range that a `Range` header names, as RFC 9110 has it. A header that is none, or that names several, counts
 * as if it were not there: a server may always send the whole.
 */
export function askedRange(header: string | null, byteLength: number): AskedRange {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(header?.trim() ?? "");
  if (match === null) return "whole";
  const [, first = "", last = ""] = match;
  if (first === "") return last === "" ? "whole" : lastBytes(Number(last), byteLength);
  const start = Number(first);
  const end = last === "" ? byteLength : Math.min(Number(last) + 1, byteLength);
  if (last !== "" && Number(last) < start) return "whole";
  return start < byteLength ? { start, end } : "unsatisfiable";
}

function lastBytes(count: number, byteLength: number): AskedRange {
  if (count === 0 || byteLength === 0) return "unsatisfiable";
  return { start: Math.max(0, byteLength - count), end: byteLength };
}
