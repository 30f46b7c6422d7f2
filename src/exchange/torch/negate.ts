import type { DType } from "../../base/dtype.ts";

/**
 * Changes the sign of each element, in place: of a float by its sign bit, of an integer by two's complement, so that
 * the smallest stays what it is.
 */
export function negate(bytes: Uint8Array, dtype: DType, byteSize: number): void {
  const isFloat = dtype === "f16" || dtype === "bf16" || dtype === "f32" || dtype === "f64";
  for (let at = 0; at < bytes.byteLength; at += byteSize) {
    if (isFloat) {
      const top = at + byteSize - 1;
      bytes[top] = (bytes[top] as number) ^ 0x80;
    } else negateInteger(bytes, at, byteSize);
  }
}

function negateInteger(bytes: Uint8Array, start: number, byteSize: number): void {
  let carry = 1;
  for (let at = start; at < start + byteSize; at++) {
    const sum = (~(bytes[at] as number) & 0xff) + carry;
    bytes[at] = sum & 0xff;
    carry = sum >> 8;
  }
}
