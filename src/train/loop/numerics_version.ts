/**
 * What the same program and data give on the same adapter and runtime. Raise it with every change after which the
 * bits of a step may be others: a kernel that rounds or sums differently, another order of operations in a gradient
 * or an optimiser, another use of random numbers, another default variant. Not with a faster kernel of the same bits.
 *
 * A run that was saved with another version does not go on bit for bit, and `resume` says so.
 */
export const NUMERICS_VERSION = 1;
