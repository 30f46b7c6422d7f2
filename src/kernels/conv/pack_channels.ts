import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { requireElements } from "../sizes.ts";

/** The size of a tensor `[batch, channels, rows, columns]`. */
export interface PackedChannels {
  readonly batch: number;
  readonly channels: number;
  readonly rows: number;
  readonly columns: number;
}

/**
 * Copies `[batch, channels, rows, columns]` into `[batch, rows, columns, channels]`, with zeros up to whole vectors
 * of channels.
 */
export function packChannels<B>(
  bindings: { readonly input: B; readonly out: B },
  { batch, channels, rows, columns }: PackedChannels,
): Dispatch<B> {
  const vectors = Math.ceil(channels / 4);
  const count = requireElements("convolution", [batch, rows, columns, vectors]);
  return {
    label: `pack channels ${batch}x${channels}x${rows}x${columns}`,
    code: WGSL,
    constants: { count, channels, rows, columns, vectors },
    bindings: [bindings.input, bindings.out],
    workgroups: linearGrid(count),
  };
}

const WGSL = `override count: u32;
override channels: u32;
override rows: u32;
override columns: u32;
override vectors: u32;

@group(0) @binding(0) var<storage, read> input: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<u32>>;

fn load(n: u32, c: u32, y: u32, x: u32) -> u32 {
  if (c >= channels) {
    return 0u;
  }
  return input[((n * channels + c) * rows + y) * columns + x];
}

${LINEAR_MAIN_WGSL}
  // Neighbouring invocations read neighbouring columns.
  let x = index % columns;
  let c = index / columns % vectors * 4u;
  let y = index / columns / vectors % rows;
  let n = index / columns / vectors / rows;
  let place = ((n * rows + y) * columns + x) * vectors + c / 4u;
  out[place] = vec4<u32>(load(n, c, y, x), load(n, c + 1u, y, x), load(n, c + 2u, y, x), load(n, c + 3u, y, x));
}
`;
