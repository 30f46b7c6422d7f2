import { UsageError } from "../verb.ts";

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 };

/** Bytes of `5GB`, `500 MB` or `1000000`. @throws UsageError */
export function sizeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?) ?([kMGT]?)B?$/.exec(text.replace("K", "k")) ?? [];
  const bytes = Number(number) * (UNITS[unit] ?? NaN);
  if (number !== "" && bytes > 0) return Math.floor(bytes);
  throw new UsageError(`${JSON.stringify(text)} is no size; expected one such as 5GB or 500MB`);
}
