const TWO_TO_32 = 0x1_0000_0000;

/**
 * The unsigned 64-bit number at `at`, as a JavaScript number. Above 2^53 it is rounded, so callers that read
 * foreign bytes have to check it with `Number.isSafeInteger`, which no rounded value passes.
 */
export function readU64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * TWO_TO_32;
}

/** Writes a safe integer that is not negative as an unsigned 64-bit number. */
export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % TWO_TO_32, true);
  view.setUint32(at + 4, Math.floor(value / TWO_TO_32), true);
}

/** A `DataView` over exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Whether every byte is zero. */
export function isAllZero(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) return false;
  return true;
}
