/** The fewest digits that are this f32 when they are read again: `0.1`, not `0.10000000149011612`. */
export function shortestFloat32(value: number): string {
  // Nine always are enough.
  for (let digits = 6; digits < 9; digits++) {
    const text = String(Number(value.toPrecision(digits)));
    if (Math.fround(Number(text)) === value) return text;
  }
  return String(Number(value.toPrecision(9)));
}
