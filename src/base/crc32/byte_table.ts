/** What each byte does to a checksum of 32 bits, by the polynomial with its bits reversed: 256 entries. */
export function byteTable(reversedPolynomial: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let register = byte;
    for (let bit = 0; bit < 8; bit++) {
      register = register & 1 ? (register >>> 1) ^ reversedPolynomial : register >>> 1;
    }
    return register;
  });
}
