import type { LoweringContext, Region } from "../op.ts";
import { widenOp } from "../ops/sixteen_bits.ts";
import { isResultOf } from "../create_value.ts";
import { item } from "../op.ts";
import type { Value } from "../value.ts";
import { unwrap } from "../walks.ts";

/** The value in 16 bits that `value` is the f32 of; `undefined` for every other. */
export function sixteenBitsOf(value: Value): Value | undefined {
  const source = unwrap(value);
  return isResultOf(widenOp, source) ? unwrap(item(source.inputs, 0)) : undefined;
}

/**
 * What the lowering of one kernel is given: its inputs in 16 bits are made f32 for it alone, so that they take that
 * memory only while it runs.
 *
 * @param copied Memory that elements in 16 bits are copied into as f32, by a step in front of the kernel's.
 */
export function kernelContext(
  context: LoweringContext,
  copied: (source: Value) => Region,
): LoweringContext {
  const regions = new Map<Value, Region>();
  return {
    bindingBytes: context.bindingBytes,
    companionOf: (value) => context.companionOf(value),
    joinsOf: (value) => context.joinsOf(value),
    scratch: (label, byteLength) => context.scratch(label, byteLength),
    constant: (label, words) => context.constant(label, words),
    variant: (kernel, choices) => context.variant(kernel, choices),
    regionOf(value) {
      const source = sixteenBitsOf(value);
      if (source === undefined) return context.regionOf(value);
      const region = regions.get(source) ?? copied(source);
      regions.set(source, region);
      return region;
    },
  };
}
