import { type Dispatch } from "../../gpu/dispatch.ts";
import { component, each, elementTypeOf, lines } from "./matmul_layout.ts";

/** How an operand is cut into blocks: lines are the rows of A, or the columns of B. */
export interface OperandBlocks {
  readonly lines: number;
  /** Steps of k. */
  readonly steps: number;
  /** Lines of a block, a multiple of 16, and its steps, a multiple of 4. */
  readonly blockLines: number;
  readonly blockSteps: number;
}

/** How many blocks there are along lines and along steps. */
export function blockCounts({ lines, steps, blockLines, blockSteps }: OperandBlocks): [number, number] {
  return [Math.ceil(lines / blockLines), Math.ceil(steps / blockSteps)];
}

/** Bytes of a block: a multiple of 256, so that each can be bound. */
export function blockBytes({ blockLines, blockSteps }: OperandBlocks): number {
  return blockLines * blockSteps * 4;
}

/**
 * The four numbers as words, in the order in which the kernel binds them, and the element that the operand begins with
 * in what is bound.
 */
export function blockWords(blocks: OperandBlocks, isAlongSteps: boolean, first: number): number[] {
  const { lines, steps, blockLines, blockSteps } = blocks;
  return [lines, steps, blockLines, blockSteps, first / (isVector(blocks, isAlongSteps) ? 4 : 1)];
}

/** Whether the rows in memory are whole vectors. */
function isVector({ lines, steps }: OperandBlocks, isAlongSteps: boolean): boolean {
  return (isAlongSteps ? steps : lines) % 4 === 0;
}

/** Invocations of a workgroup. */
const INVOCATIONS = 8;

/**
 * An operand in blocks `[step][line]`, all blocks of the first steps first. `isAlongSteps` says that neighbours in
 * memory are neighbouring steps, as in `A[m, k]`. Beyond the edge a block repeats the last line and the last step,
 * which are never used. `numbers` holds the words of `blocks`: they are bound, so that all operands share a pipeline.
 */
export function packOperand<B>(
  bindings: { readonly operand: B; readonly numbers: B; readonly out: B },
  blocks: OperandBlocks,
  isAlongSteps: boolean,
): Dispatch<B> {
  const { lines: lineCount, steps, blockLines } = blocks;
  return {
    label: `pack ${lineCount} lines of ${steps}`,
    code: packWgsl(isAlongSteps, isVector(blocks, isAlongSteps)),
    constants: {},
    bindings: [bindings.operand, bindings.numbers, bindings.out],
    workgroups: [Math.ceil(blockLines / 4 / INVOCATIONS), ...blockCounts(blocks)],
  };
}

/**
 * A workgroup has a block and some of its lines, an invocation four neighbouring lines of it. No number is divided:
 * CPU adapters divide lane by lane.
 */
function packWgsl(isAlongSteps: boolean, isVector: boolean): string {
  return `struct Blocks {
  lines: u32,
  steps: u32,
  block_lines: u32,
  block_steps: u32,
  first: u32,
}

@group(0) @binding(0) var<storage, read> operand: array<${elementTypeOf(isVector)}>;
@group(0) @binding(1) var<uniform> blocks: Blocks;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(${INVOCATIONS})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let lines = blocks.lines;
  let steps = blocks.steps;
  let group = workgroup.x * ${INVOCATIONS}u + local;
  let groups = blocks.block_lines / 4u;
  if (group >= groups) {
    return;
  }
  let line = workgroup.y * blocks.block_lines + group * 4u;
  let operand_first = blocks.first;
  let first = workgroup.z * blocks.block_steps;
  var place = (workgroup.z * workgroups.y + workgroup.y) * blocks.block_steps * groups + group;
  for (var p = 0u; p < blocks.block_steps; p += ${isAlongSteps ? 4 : 1}u) {
    let step = first + p;
${
    lines(
      2,
      isAlongSteps ? transposed(isVector) : [`out[place] = ${load(0, false, isVector)};`, "place += groups;"],
    )
  }
  }
}
`;
}

/** Four neighbours in memory: of steps in the line of number `outer`, or of lines in its step. */
function load(outer: number, isAlongSteps: boolean, isVector: boolean): string {
  if (isVector) {
    return isAlongSteps
      ? `operand[operand_first + min(line + ${outer}u, lines - 1u) * (steps / 4u) + min(step, steps - 4u) / 4u]`
      : `operand[operand_first + min(step + ${outer}u, steps - 1u) * (lines / 4u) + min(line, lines - 4u) / 4u]`;
  }
  const elements = each(4, (inner) => {
    const line = `min(line + ${isAlongSteps ? outer : inner}u, lines - 1u)`;
    const step = `min(step + ${isAlongSteps ? inner : outer}u, steps - 1u)`;
    return isAlongSteps
      ? `operand[operand_first + ${line} * steps + ${step}]`
      : `operand[operand_first + ${step} * lines + ${line}]`;
  });
  return `vec4<f32>(${elements.join(", ")})`;
}

/** Reads four lines along their steps, and writes four steps along their lines. */
function transposed(isVector: boolean): string[] {
  return [
    ...each(4, (i) => `let piece_${i} = ${load(i, true, isVector)};`),
    ...each(4, (i) => [
      `out[place] = vec4<f32>(${each(4, (line) => `piece_${line}.${component(i)}`).join(", ")});`,
      "place += groups;",
    ]),
  ];
}
