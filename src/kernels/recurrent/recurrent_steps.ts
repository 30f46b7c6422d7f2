import { gridFor } from "../../gpu/dispatch.ts";
import type { KernelStep } from "../kernel_steps.ts";
import { pairsOf, type PassMemory, type PlacedPiece, type RecurrentPass } from "./recurrent_pieces.ts";
import { type RecurrentBinding, recurrentWgsl } from "./recurrent_wgsl.ts";

/** A binding with its memory. */
export interface BoundUnits<B> {
  readonly binding: RecurrentBinding;
  readonly memory: B;
}

/** What a pass computes behind the sums. */
export interface PassKernel<B> {
  readonly title: string;
  readonly label: (step: number) => string;
  /** Blocks of weights that meet one of the state. */
  readonly factors: number;
  readonly bound: readonly BoundUnits<B>[];
  readonly perUnit: readonly string[];
  readonly perRow: readonly string[];
}

/** A binding of units; none where there is no memory. */
export function boundUnits<B>(
  name: string,
  memory: B | undefined,
  access: RecurrentBinding["access"] = "read",
): BoundUnits<B>[] {
  return memory === undefined ? [] : [{ binding: { name, access, as: "units" }, memory }];
}

/** The steps of a pass: a dispatch for each piece. The states take turns. */
export function passSteps<B>(
  pass: RecurrentPass,
  pieces: readonly PlacedPiece[],
  used: PassMemory<B>,
  kernel: PassKernel<B>,
): KernelStep<B>[] {
  const { sizes: { hidden }, variant, tile } = pass;
  const partials = used.partials === undefined ? [] : [used.partials];
  const code = recurrentWgsl({
    ...kernel,
    variant,
    tile,
    ...pairsOf(pass),
    isVector: hidden % 4 === 0,
    bindings: [
      ...kernel.bound.map(({ binding }) => binding),
      { name: "next", access: "read_write", as: "elements" },
      ...partials.map((): RecurrentBinding => ({ name: "partials", access: "read_write", as: "vectors" })),
    ],
  });
  const written = kernel.bound.filter(({ binding }) => binding.access === "read_write");
  return pieces.map(({ piece, pairs }, index) => {
    const [even, odd] = used.states;
    const [state, next] = piece.now % 2 === 0 ? [even, odd] : [odd, even];
    return {
      dispatch: {
        label: kernel.label(piece.now),
        code,
        constants: {},
        bindings: [
          ...used.operands(state, pairs),
          used.numbers(index),
          ...kernel.bound.map(({ memory }) => memory),
          next,
          ...partials,
        ],
        workgroups: gridFor(Math.ceil(piece.tiles / tile.invocations)),
      },
      writes: [...written.map(({ memory }) => memory), next, ...partials],
    };
  });
}
