/** How a matmul reads and writes memory: what its source depends on, besides the variant. */
export interface MatmulLayout {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Whether A, B and the result are arrays of `vec4`: rows as they are stored have to be whole vectors. */
  readonly vectorA: boolean;
  readonly vectorB: boolean;
  readonly vectorOut: boolean;
  /** Whether the register variant reads A and B as vectors along k instead: both are stored with k innermost. */
  readonly vectorDepth: boolean;
}

/** The WGSL type of an operand's elements. */
export function elementTypeOf(isVector: boolean): string {
  return isVector ? "vec4<f32>" : "f32";
}

/** The lines that `line(0)` to `line(count - 1)` give: how generated code is unrolled. */
export function each(count: number, line: (index: number) => string | string[]): string[] {
  return Array.from({ length: count }, (_, index) => line(index)).flat();
}

/** Lines of WGSL, indented. */
export function lines(depth: number, text: readonly string[]): string {
  return text.map((line) => "  ".repeat(depth) + line).join("\n");
}

/** The name of a vector's component. */
export function component(index: number): string {
  return "xyzw".charAt(index % 4);
}
