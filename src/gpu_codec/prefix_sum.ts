/** Invocations of a workgroup that `sum_before` works in. */
export const PREFIX_INVOCATIONS = 256;

/**
 * `sum_before(local, value)`: the sum of the values of all invocations before this one, in a workgroup of 256, all of
 * which have to call it. Afterwards `prefix_total` is the sum of all. It is a barrier too: what was written to
 * workgroup memory before it is there behind it.
 *
 * In two steps of 16, rather than in eight of two: few barriers count for more than few additions.
 */
export const PREFIX_SUM_WGSL: string = `var<workgroup> prefix_values: array<u32, ${PREFIX_INVOCATIONS}>;
var<workgroup> prefix_blocks: array<u32, 16>;
var<workgroup> prefix_total: u32;

fn sum_before(local: u32, value: u32) -> u32 {
  prefix_values[local] = value;
  workgroupBarrier();
  if (local < 16u) {
    var block_sum = 0u;
    for (var i = local * 16u; i < local * 16u + 16u; i++) {
      block_sum += prefix_values[i];
    }
    prefix_blocks[local] = block_sum;
  }
  workgroupBarrier();
  var sum = 0u;
  for (var block = 0u; block < local / 16u; block++) {
    sum += prefix_blocks[block];
  }
  for (var i = local / 16u * 16u; i < local; i++) {
    sum += prefix_values[i];
  }
  if (local == ${PREFIX_INVOCATIONS - 1}u) {
    prefix_total = sum + value;
  }
  workgroupBarrier();
  return sum;
}
`;
