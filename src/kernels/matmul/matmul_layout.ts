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
  /** How many leading axes the matrices have, one for each of a batch; 0 or left out for a single pair. */
  readonly batchAxes?: number;
  /**
   * Whether the matrices are parts of larger ones, of which some rows are bound, and the sums may go on from what is in
   * the result. Their sizes and places are bound too, so that all parts share a pipeline.
   */
  readonly isPart?: boolean | undefined;
  /** WGSL of `finished(index, sum)`, which is written in the place of a sum; the workgroup variant's. */
  readonly epilogue?: string | undefined;
  /** Whether the sums of A's rows are written, too; the workgroup variant's. */
  readonly sumsRows?: boolean;
}

/** Whether there are several pairs of matrices. */
export function isBatch({ batchAxes = 0 }: MatmulLayout): boolean {
  return batchAxes > 0;
}

/** Where the matrix of this workgroup begins in `a`, `b` or `out`, as the first term of an address. */
export function firstOf(layout: MatmulLayout, array: "a" | "b" | "out"): string {
  return isBatch(layout) || layout.isPart === true ? `${array}_first + ` : "";
}

/** How far lines of the matrix lie apart in an array: `natural` where they follow one another. */
export function pitchOf(layout: MatmulLayout, array: "a" | "b" | "out", natural: string): string {
  const isGiven = isBatch(layout) && array !== "out" || layout.isPart === true;
  return isGiven ? `${array}_pitch` : natural;
}

/** The sizes of the product. */
export function sizeDeclarations({ isPart = false }: MatmulLayout): string {
  if (!isPart) return "override m: u32;\noverride n: u32;\noverride k: u32;\n";
  return `struct Part {
${PART_NUMBERS.map((name) => `  ${name}: u32,`).join("\n")}
}

@group(0) @binding(3) var<uniform> part: Part;
${PART_NUMBERS.map((name) => `var<private> ${name}: u32;`).join("\n")}
`;
}

/** Where the matrices of a batch are, in units of the arrays' elements. */
export function batchDeclarations({ batchAxes = 0 }: MatmulLayout): string {
  if (batchAxes === 0) return "";
  const names = [
    ...["matrices", "tiles", "a_pitch", "b_pitch", "out_size"],
    ...each(batchAxes, (axis) => [`batch_size_${axis}`, `a_batch_${axis}`, `b_batch_${axis}`]),
  ];
  return `${names.map((name) => `override ${name}: u32;`).join("\n")}
var<private> a_first: u32;
var<private> b_first: u32;
var<private> out_first: u32;
`;
}

/** The numbers of a part: its sizes, its places in units of the arrays' elements, and whether sums go on, 0 or 1. */
export type PartNumber =
  | "m"
  | "n"
  | "k"
  | "a_first"
  | "a_pitch"
  | "b_first"
  | "b_pitch"
  | "out_first"
  | "out_pitch"
  | "goes_on";

/** In the order in which they are bound. */
export const PART_NUMBERS: readonly PartNumber[] = [
  "m",
  "n",
  "k",
  "a_first",
  "a_pitch",
  "b_first",
  "b_pitch",
  "out_first",
  "out_pitch",
  "goes_on",
];

/**
 * What follows the head of an entry point: the numbers of a part; or, of a batch, where the head leaves the workgroup's
 * `number`, which tile of which matrix it computes.
 */
export function placesWgsl({ batchAxes = 0, isPart = false }: MatmulLayout): string {
  if (isPart) return `\n${lines(1, PART_NUMBERS.map((name) => `${name} = part.${name};`))}`;
  if (batchAxes === 0) return "";
  const sum = (array: string) => each(batchAxes, (axis) => `at_${axis} * ${array}_batch_${axis}`).join(" + ");
  const statements = [
    "let matrix = number / tiles;",
    "if (matrix >= matrices) {",
    "  return;",
    "}",
    "let tile = number % tiles;",
    "var rest = matrix;",
    ...each(batchAxes, (index) => {
      const axis = batchAxes - 1 - index;
      return [`let at_${axis} = rest % batch_size_${axis};`, `rest /= batch_size_${axis};`];
    }),
    `a_first = ${sum("a")};`,
    `b_first = ${sum("b")};`,
    "out_first = matrix * out_size;",
  ];
  return `\n${lines(1, statements)}`;
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
