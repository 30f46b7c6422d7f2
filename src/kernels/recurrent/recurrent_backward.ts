import { sharedCopy } from "../elementwise/copy.ts";
import type { KernelMemory, KernelStep } from "../kernel_steps.ts";
import { each } from "../matmul/matmul_layout.ts";
import { CELLS, type CellWgsl } from "./cells.ts";
import { packRecurrentWeights } from "./pack_recurrent_weights.ts";
import { passMemory, piecesOf, type RecurrentPass } from "./recurrent_pieces.ts";
import {
  blocksOf,
  type RecurrentSizes,
  type RecurrentVariant,
  requireRecurrentSizes,
  tileOf,
} from "./recurrent_sizes.ts";
import { boundUnits, type PassKernel, passSteps } from "./recurrent_steps.ts";
import { storeState } from "./recurrent_wgsl.ts";

/** What the way back binds. */
export interface RecurrentBackwardBindings<B> {
  /** The gradient of the states, `[batch, time, hidden]`, or that of an lstm's cells after the last step. */
  readonly outGradient: B;
  /** `[gates * hidden, hidden]`. */
  readonly weights: B;
  /** What the forward pass kept; of the simple cells the states. */
  readonly kept: B;
  /** An lstm's cells before the first step, `[batch, hidden]`. */
  readonly cells: B | undefined;
  /** The gradient of the input's part of the gates: `[batch, time, gates * hidden]`. */
  readonly out: B;
  /**
   * What is left before the first step, `[batch, hidden]`: the gradient of the cells of an lstm, and a part of that of
   * the state of a gru. The simple ones have none.
   */
  readonly carry: B | undefined;
}

/** Whether the gradient that is given is that of the states, or of an lstm's last cells. */
export type RecurrentGradientOf = "states" | "lastCells";

/**
 * The gradient of {@link recurrentForward}, back through time: each step is one kernel, as there, and all of them run
 * one pipeline. The gradients of weights and biases follow from `out`, for all steps at once.
 */
export function recurrentBackward<B>(
  bindings: RecurrentBackwardBindings<B>,
  sizes: RecurrentSizes,
  of: RecurrentGradientOf,
  variant: RecurrentVariant,
  memory: KernelMemory<B>,
): KernelStep<B>[] {
  requireRecurrentSizes(sizes);
  const { cell, batch, time, hidden } = sizes;
  if (batch === 0 || time === 0) return [];
  const { gates } = CELLS[cell];
  const blocks = blocksOf(sizes, variant);
  const pass: RecurrentPass = {
    sizes,
    variant,
    tile: tileOf(sizes, variant, 4),
    stateBlocks: gates * blocks.depthBlocks,
    gatesOf: (stateBlock) => [Math.floor(stateBlock / blocks.depthBlocks)],
    mostPairs: 4,
    isBackward: true,
    beginsAtZero: of === "states",
  };
  const pieces = piecesOf(pass);
  const used = passMemory(pass, gates, pieces, memory);
  const { weights, outGradient, carry } = bindings;
  const pack = packRecurrentWeights({ weights, out: used.weights }, sizes, blocks, "backward");
  const begin: KernelStep<B>[] = of === "lastCells" && carry !== undefined
    ? [{
      dispatch: sharedCopy({ input: outGradient, out: carry }, { count: batch * hidden }, memory),
      writes: [carry],
    }]
    : [];
  return [
    { dispatch: pack, writes: [used.weights] },
    ...begin,
    ...passSteps(pass, pieces, used, backwardKernel(bindings, sizes, of)),
  ];
}

function backwardKernel<B>(
  { outGradient, kept, cells, out, carry }: RecurrentBackwardBindings<B>,
  { cell, batch, hidden }: RecurrentSizes,
  of: RecurrentGradientOf,
): PassKernel<B> {
  return {
    title: `one step of ${cell}, on the way back`,
    label: (step) => `${cell} ${batch}x${hidden}, back through step ${step}`,
    factors: 1,
    bound: [
      ...boundUnits("out_gradient", of === "states" ? outGradient : undefined),
      ...boundUnits("kept", kept),
      ...boundUnits("before", CELLS[cell].before === "cell" ? cells : undefined),
      ...boundUnits("x_gradient", out, "read_write"),
      ...boundUnits("carried", carry, "read_write"),
    ],
    perUnit: [],
    perRow: rowStatements(CELLS[cell], of),
  };
}

function rowStatements(cell: CellWgsl, of: RecurrentGradientOf): string[] {
  const { gates, kept, before } = cell;
  const load = (name: string, index: number, line: string) =>
    `${name} = load_kept((${line} * ${kept.length}u + ${index}u) * piece.hidden + unit);`;
  return [
    ...kept.map((name, index) => `let ${load(name, index, "line")}`),
    ...before === "cell"
      ? [
        "var before = Float();",
        "if (piece.now == 0u) {",
        "  before = load_before(row * piece.hidden + unit);",
        "} else {",
        `  ${load("before", kept.indexOf("c"), "(line - 1u)")}`,
        "}",
      ]
      : [],
    ...before === "none" ? [] : [
      "var carry = Float();",
      "if (piece.begins == 0u) {",
      "  carry = load_carried(row * piece.hidden + unit);",
      "}",
    ],
    of === "states" ? "let dh = load_out_gradient(line * piece.hidden + unit) + sum_0;" : "let dh = sum_0;",
    ...cell.backward,
    ...each(
      gates,
      (g) => `store_x_gradient((line * ${gates}u + ${g}u) * piece.hidden + unit, d_${g}, count);`,
    ),
    ...before === "none" ? [] : ["store_carried(row * piece.hidden + unit, next_carry, count);"],
    ...each(gates, (g) => storeState(g, `s_${g}`)),
  ];
}
