/** The longest tensor name, in bytes of UTF-8. */
export const MAX_NAME_BYTES = 1024;

const PRINTABLE_ASCII = /^[\x20-\x7e]+$/;
const UNPRINTABLE = /[\p{Cc}\uFEFF]/u;

/**
 * What is wrong with a tensor name, or `undefined` when it is fine: 1 to 1024 bytes of UTF-8, well formed, in
 * Unicode form NFC (so that two names that look alike are alike), no control characters or byte-order mark,
 * not `__proto__`.
 */
export function problemOfName(name: string): string | undefined {
  if (name === "__proto__") return "__proto__ cannot be a name";
  if (PRINTABLE_ASCII.test(name)) {
    return name.length > MAX_NAME_BYTES ? `is longer than ${MAX_NAME_BYTES} bytes` : undefined;
  }
  if (name.length === 0) return "is empty";
  if (name.length > MAX_NAME_BYTES) return `is longer than ${MAX_NAME_BYTES} bytes`;
  if (!name.isWellFormed()) return "holds a lone surrogate";
  if (UNPRINTABLE.test(name)) return "holds a control character";
  if (name.normalize("NFC") !== name) return "is not in Unicode form NFC";
  if (new TextEncoder().encode(name).length > MAX_NAME_BYTES) return `is longer than ${MAX_NAME_BYTES} bytes`;
  return undefined;
}
