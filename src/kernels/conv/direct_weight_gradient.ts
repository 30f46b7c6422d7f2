import { alignUp } from "../../base/checked.ts";
import {
  type Dispatch,
  gridFor,
  LINEAR_MAIN_WGSL,
  linearGrid,
  workgroupMainWgsl,
} from "../../gpu/dispatch.ts";
import { component, each, lines } from "../matmul/matmul_layout.ts";
import type { RowsAndColumns } from "../sizes.ts";
import type { ConvolutionSizes } from "./convolution_sizes.ts";
import type { KernelMemory, KernelStep } from "../kernel_steps.ts";
import { packChannels } from "./pack_channels.ts";
import { padPlanes } from "./pad_planes.ts";

/** Elements of the output that are added in one chain: rounding errors grow with it. */
const MOST_TERMS = 4096;

/** Workgroups that keep a few processor cores busy. */
const ENOUGH_WORKGROUPS = 64;

/** What all partial sums together may take. */
const MOST_PARTIAL_BYTES = 64 * 1024 * 1024;

/** The whole kernel is unrolled. */
const MOST_TAPS = 64;

/** Channels of the output that a workgroup has, and invocations: four channels each. */
const BLOCK_CHANNELS = 32;

/** Elements of a row of the output that one step has. */
const STEP_COLUMNS = 4;

/**
 * The gradient of the weights of a convolution of one group. Rows of the output are cut into spans; the sums of each
 * are made in the order of images, rows and columns, and then added in the order of spans. `undefined` for large kernels.
 */
export function directWeightGradient<B>(
  bindings: { readonly input: B; readonly outGradient: B; readonly out: B },
  sizes: ConvolutionSizes,
  memory: KernelMemory<B>,
): KernelStep<B>[] | undefined {
  const { batch, inChannels, outChannels, input, output, kernel, stride, dilation, padding } = sizes;
  if (kernel[0] * kernel[1] > MOST_TAPS) return undefined;
  const vectors = Math.ceil(outChannels / 4);
  const gradient = memory.scratch("gradient by channels", batch * output[0] * output[1] * vectors * 16);
  const pack = packChannels(
    { input: bindings.outGradient, out: gradient },
    { batch, channels: outChannels, rows: output[0], columns: output[1] },
  );
  const rows = (output[0] - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1;
  const columns = alignUp(
    (alignUp(output[1], STEP_COLUMNS) - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1,
    4,
  );
  const padded = memory.scratch("padded input", batch * inChannels * rows * columns * 4);
  const pad = padPlanes(
    { input: bindings.input, out: padded },
    {
      planes: batch * inChannels,
      from: input,
      rows,
      tiles: 1,
      columns,
      tileStep: 0,
      before: padding,
      spread: [1, 1],
    },
  );
  const spans = spansOf(sizes);
  const partials = memory.scratch(
    "spans of the weights' gradient",
    spans.count * inChannels * kernel[0] * kernel[1] * vectors * 16,
  );
  const sum = partialsDispatch([padded, gradient, partials], sizes, spans, [rows, columns]);
  const collect = collectDispatch([partials, bindings.out], sizes, spans.count);
  return [
    { dispatch: pack, writes: [gradient] },
    { dispatch: pad, writes: [padded] },
    { dispatch: sum, writes: [partials] },
    { dispatch: collect, writes: [bindings.out] },
  ];
}

/** How the rows of all images are cut. It decides the last bits, so it depends on the sizes only. */
function spansOf({ batch, inChannels, outChannels, output, kernel }: ConvolutionSizes): {
  readonly count: number;
  readonly rows: number;
} {
  const rows = batch * output[0];
  const blocks = inChannels * Math.ceil(outChannels / BLOCK_CHANNELS);
  const wanted = Math.max(rows * output[1] / MOST_TERMS, ENOUGH_WORKGROUPS / blocks);
  const spanBytes = inChannels * kernel[0] * kernel[1] * alignUp(outChannels, 4) * 4;
  const most = Math.max(1, Math.min(rows, Math.floor(MOST_PARTIAL_BYTES / spanBytes)));
  const rowsEach = Math.ceil(rows / Math.min(most, Math.max(1, Math.ceil(wanted))));
  return { count: Math.ceil(rows / rowsEach), rows: rowsEach };
}

function partialsDispatch<B>(
  bindings: readonly B[],
  { batch, inChannels, outChannels, output, kernel, stride, dilation }: ConvolutionSizes,
  spans: { readonly count: number; readonly rows: number },
  padded: RowsAndColumns,
): Dispatch<B> {
  const blocks = Math.ceil(outChannels / BLOCK_CHANNELS);
  const workgroups = spans.count * inChannels * blocks;
  return {
    label: `convolution ${inChannels} to ${outChannels} channels, weightGradient direct`,
    code: partialsWgsl(kernel, stride, dilation, output[1] % STEP_COLUMNS),
    constants: {
      all_rows: batch * output[0],
      span_rows: spans.rows,
      in_channels: inChannels,
      out_vectors: Math.ceil(outChannels / 4),
      blocks,
      padded_h: padded[0],
      padded_w: padded[1],
      out_h: output[0],
      out_w: output[1],
      count: workgroups,
    },
    bindings,
    workgroups: gridFor(workgroups),
  };
}

/**
 * An invocation has four output channels and one input channel: a vector of sums for each element of the kernel. A
 * row goes in steps of four columns, of which the last may have fewer: what is not there is not multiplied, since it
 * may not be finite.
 */
function partialsWgsl(
  kernel: RowsAndColumns,
  stride: RowsAndColumns,
  dilation: RowsAndColumns,
  lastColumns: number,
): string {
  const taps = (line: (ky: number, kx: number) => string) =>
    each(kernel[0], (ky) => each(kernel[1], (kx) => line(ky, kx)));
  const step = (columns: number) => stepOf(columns, kernel, stride, dilation);
  return `// partials[span, c, ky, kx, o] = sum over the span's rows y and all x of padded[n, c, iy, ix] * gradient[n, y, x, o].
override all_rows: u32;
override span_rows: u32;
override in_channels: u32;
override out_vectors: u32;
override blocks: u32;
override padded_h: u32;
override padded_w: u32;
override out_h: u32;
override out_w: u32;
override count: u32;

@group(0) @binding(0) var<storage, read> padded: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> gradient: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> partials: array<vec4<f32>>;

${workgroupMainWgsl(BLOCK_CHANNELS / 4, "index")}
  if (index >= count) {
    return;
  }
  let c = index % in_channels;
  let span = index / in_channels / blocks;
  let o = index / in_channels % blocks * ${BLOCK_CHANNELS / 4}u + local;
  if (o >= out_vectors) {
    return;
  }
  let row = padded_w / 4u;
  let end = min((span + 1u) * span_rows, all_rows);
${lines(1, taps((ky, kx) => `var sum_${ky}_${kx} = vec4<f32>();`))}
  for (var r = span * span_rows; r < end; r++) {
    let top = (r / out_h * in_channels + c) * padded_h + r % out_h * ${stride[0]}u;
    for (var x = 0u; x + ${STEP_COLUMNS - 1}u < out_w; x += ${STEP_COLUMNS}u) {
${lines(3, step(STEP_COLUMNS))}
    }
${lastColumns > 0 ? lines(2, [`let x = out_w - ${lastColumns}u;`, ...step(lastColumns)]) : ""}
  }
  let first = (span * in_channels + c) * ${kernel[0] * kernel[1]}u;
${
    lines(
      1,
      taps((ky, kx) => `partials[(first + ${ky * kernel[1] + kx}u) * out_vectors + o] = sum_${ky}_${kx};`),
    )
  }
}
`;
}

/** The products of neighbouring columns of a row, the first a multiple of four. */
function stepOf(
  columns: number,
  kernel: RowsAndColumns,
  stride: RowsAndColumns,
  dilation: RowsAndColumns,
): string[] {
  const vectors = Math.ceil(((columns - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1) / 4);
  return [
    `let first_in = top * row + x / 4u * ${stride[1]}u;`,
    "let first_out = (r * out_w + x) * out_vectors + o;",
    ...each(columns, (i) => `let gradient_${i} = gradient[first_out + ${i}u * out_vectors];`),
    ...each(kernel[0], (ky) => [
      ...each(vectors, (v) => `let in_${ky}_${v} = padded[first_in + ${ky * dilation[0]}u * row + ${v}u];`),
      ...each(kernel[1], (kx) =>
        each(columns, (i) => {
          const column = i * stride[1] + kx * dilation[1];
          const element = `in_${ky}_${Math.floor(column / 4)}.${component(column)}`;
          return `sum_${ky}_${kx} = fma(gradient_${i}, vec4<f32>(${element}), sum_${ky}_${kx});`;
        })),
    ]),
  ];
}

function collectDispatch<B>(
  bindings: readonly B[],
  { inChannels, outChannels, kernel }: ConvolutionSizes,
  spans: number,
): Dispatch<B> {
  const taps = kernel[0] * kernel[1];
  const count = outChannels * inChannels * taps;
  return {
    label: `add ${spans} spans of a weightGradient`,
    code: COLLECT_WGSL,
    constants: { count, spans, in_taps: inChannels * taps, out_size: alignUp(outChannels, 4) },
    bindings,
    workgroups: linearGrid(count),
  };
}

const COLLECT_WGSL = `// out[o, c, ky, kx] = sum over spans of partials[span, c, ky, kx, o].
override count: u32;
override spans: u32;
override in_taps: u32;
override out_size: u32;

@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

${LINEAR_MAIN_WGSL}
  let first = index % in_taps * out_size + index / in_taps;
  var sum = partials[first];
  for (var span = 1u; span < spans; span++) {
    sum += partials[first + span * in_taps * out_size];
  }
  out[index] = sum;
}
`;
