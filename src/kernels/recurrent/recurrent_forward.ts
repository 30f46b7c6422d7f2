import type { Dispatch } from "../../gpu/dispatch.ts";
import type { KernelMemory, KernelStep } from "../kernel_steps.ts";
import { each } from "../matmul/matmul_layout.ts";
import { blockWords, packOperand } from "../matmul/pack_operand.ts";
import { CELLS, type CellWgsl } from "./cells.ts";
import { packRecurrentWeights } from "./pack_recurrent_weights.ts";
import { passMemory, piecesOf, type RecurrentPass } from "./recurrent_pieces.ts";
import {
  blocksOf,
  type RecurrentBlocks,
  type RecurrentSizes,
  type RecurrentVariant,
  requireRecurrentSizes,
  tileOf,
} from "./recurrent_sizes.ts";
import { boundUnits, type PassKernel, passSteps } from "./recurrent_steps.ts";
import { storeState } from "./recurrent_wgsl.ts";

/** What the forward pass binds. */
export interface RecurrentForwardBindings<B> {
  /** The input's part of the gates, without a bias: `[batch, time, gates * hidden]`. */
  readonly x: B;
  /** `[gates * hidden, hidden]`. */
  readonly weights: B;
  /** `[biases * hidden]`. */
  readonly bias: B;
  /** The state before the first step, `[batch, hidden]`. */
  readonly state: B;
  /** An lstm's cells before the first step, `[batch, hidden]`. */
  readonly cells: B | undefined;
  /** The states: `[batch, time, hidden]`. */
  readonly out: B;
  /** What the way back needs: `[batch, time, kept * hidden]`. Left out where there is none. */
  readonly kept: B | undefined;
}

/**
 * A recurrent layer: from the input's part of the gates to the state at every step. Each step is one kernel, the
 * product of the state and the weights with the cell behind it; all steps run one pipeline. Sums are in the order of
 * k, those of blocks of at most 128 in a `uniform` variant being joined in their order. Throws `RangeError` for sizes
 * that a shader cannot index.
 */
export function recurrentForward<B>(
  bindings: RecurrentForwardBindings<B>,
  sizes: RecurrentSizes,
  variant: RecurrentVariant,
  memory: KernelMemory<B>,
): KernelStep<B>[] {
  requireRecurrentSizes(sizes);
  if (sizes.batch === 0 || sizes.time === 0) return [];
  const { gates } = CELLS[sizes.cell];
  const everyGate = [...Array(gates).keys()];
  const blocks = blocksOf(sizes, variant);
  const pass: RecurrentPass = {
    sizes,
    variant,
    tile: tileOf(sizes, variant, 1),
    stateBlocks: blocks.depthBlocks,
    gatesOf: () => everyGate,
    mostPairs: 2,
    isBackward: false,
    beginsAtZero: true,
  };
  const pieces = piecesOf(pass);
  const used = passMemory(pass, gates, pieces, memory);
  const packWeights = packRecurrentWeights(
    { weights: bindings.weights, out: used.weights },
    sizes,
    blocks,
    "forward",
  );
  return [
    { dispatch: packState(bindings.state, used.states[0], sizes, blocks, memory), writes: [used.states[0]] },
    { dispatch: packWeights, writes: [used.weights] },
    ...passSteps(pass, pieces, used, forwardKernel(bindings, sizes, memory)),
  ];
}

function packState<B>(
  state: B,
  out: B,
  { batch, hidden }: RecurrentSizes,
  { rows, depth }: RecurrentBlocks,
  memory: KernelMemory<B>,
): Dispatch<B> {
  const blocks = { lines: batch, steps: hidden, blockLines: rows, blockSteps: depth };
  const words = Uint32Array.from(blockWords(blocks, true, 0));
  const numbers = memory.constant("numbers of the first state", words);
  return packOperand({ operand: state, numbers, out }, blocks, true);
}

function forwardKernel<B>(
  { x, bias, state, cells, out, kept }: RecurrentForwardBindings<B>,
  { cell, batch, time, hidden }: RecurrentSizes,
  memory: KernelMemory<B>,
): PassKernel<B> {
  const { before, biases, kept: all } = CELLS[cell];
  // An lstm has its cells in memory in any case.
  const stored = kept ?? (before === "cell" ? memory.scratch("cells", 4 * batch * time * hidden) : undefined);
  const names = stored === undefined ? [] : kept === undefined ? ["c"] : all;
  return {
    title: `one step of ${cell}`,
    label: (step) => `${cell} ${batch}x${hidden}, step ${step}`,
    factors: CELLS[cell].gates,
    bound: [
      ...boundUnits("x", x),
      ...boundUnits("bias", bias),
      ...before === "none" ? [] : boundUnits("before", before === "cell" ? cells : state),
      ...boundUnits("hidden", out, "read_write"),
      ...boundUnits("kept", stored, "read_write"),
    ],
    perUnit: each(biases, (g) => `let bias_${g} = load_bias(${g}u * piece.hidden + unit);`),
    perRow: rowStatements(CELLS[cell], names),
  };
}

function rowStatements(cell: CellWgsl, kept: readonly string[]): string[] {
  const earlier = cell.before === "cell"
    ? `load_kept(((line - 1u) * ${kept.length}u + ${kept.indexOf("c")}u) * piece.hidden + unit)`
    : "load_hidden((line - 1u) * piece.hidden + unit)";
  return [
    ...each(cell.gates, (g) => `let x_${g} = load_x((line * ${cell.gates}u + ${g}u) * piece.hidden + unit);`),
    ...cell.before === "none" ? [] : [
      "var before = Float();",
      "if (piece.now == 0u) {",
      "  before = load_before(row * piece.hidden + unit);",
      "} else {",
      `  before = ${earlier};`,
      "}",
    ],
    ...cell.forward,
    "store_hidden(line * piece.hidden + unit, h, count);",
    ...kept.map((name, index) =>
      `store_kept((line * ${kept.length}u + ${index}u) * piece.hidden + unit, ${name}, count);`
    ),
    ...storeState(0, "h"),
  ];
}
