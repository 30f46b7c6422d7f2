/** Bytes as hexadecimal text, two lower-case digits a byte. */
export function bytesAsHex(bytes: Uint8Array, between: string = ""): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(between);
}

/** A whole number of 0 or more as hexadecimal text with at least so many digits. Default: the 8 of a checksum. */
export function hexOf(value: number, digits: number = 8): string {
  return value.toString(16).padStart(digits, "0");
}

/** So many random bytes as hexadecimal text. */
export function randomHex(byteLength: number): string {
  return bytesAsHex(crypto.getRandomValues(new Uint8Array(byteLength)));
}
