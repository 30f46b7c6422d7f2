import { LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import type { KernelMemory, KernelStep } from "../kernel_steps.ts";
import { requireElements, requireSizes } from "../sizes.ts";

/** What {@link orthonormalColumns} is of: `rows` is at least `columns`. */
export type OrthonormalSizes = { readonly rows: number; readonly columns: number };

/**
 * `out [rows, columns]`: columns that are orthonormal, distributed as the first columns of a random rotation or
 * reflection (Haar's measure), of `gaussian [columns, rows]`, independent normal numbers of mean 0 and variance 1.
 *
 * They are the Q with a positive diagonal of R of the QR decomposition of a normal matrix, made without one: the
 * product of Householder reflections of normal vectors, each one shorter than the one before (Stewart 1980, "The
 * efficient generation of random orthogonal matrices"). A column is an invocation, and needs no other. Two dispatches:
 * what each reflection is, and the columns.
 */
export function orthonormalColumns<B>(
  { gaussian, out }: { readonly gaussian: B; readonly out: B },
  { rows, columns }: OrthonormalSizes,
  memory: KernelMemory<B>,
): KernelStep<B>[] {
  requireSizes("orthonormalColumns", { rows, columns });
  requireElements("orthonormalColumns", [rows, columns]);
  if (columns > rows) {
    throw new RangeError(`orthonormalColumns: ${columns} columns of ${rows} elements cannot be orthonormal`);
  }
  const reflections = memory.scratch("reflections", 8 * columns);
  const width = columns % 4 === 0 ? 4 : 1;
  return [
    {
      dispatch: {
        label: `reflections ${columns}x${rows}`,
        code: REFLECTIONS_WGSL,
        constants: { count: columns, rows },
        bindings: [gaussian, reflections],
        workgroups: linearGrid(columns),
      },
      writes: [reflections],
    },
    {
      dispatch: {
        label: `orthonormalColumns ${rows}x${columns}`,
        code: columnsWgsl(width),
        constants: { count: columns / width, rows },
        bindings: [gaussian, reflections, out],
        workgroups: linearGrid(columns / width),
      },
      writes: [out],
    },
  ];
}

/** Sums of up to 32 terms are added up before they are added to the others, so that long sums lose little. */
const REFLECTIONS_WGSL = `override count: u32;
override rows: u32;

@group(0) @binding(0) var<storage, read> gaussian: array<f32>; // [count, rows]
// The first element of each vector, then by what its reflection multiplies.
@group(0) @binding(1) var<storage, read_write> reflections: array<f32>;

${LINEAR_MAIN_WGSL}
  var total = 0.0;
  for (var block = index; block < rows; block += 32u) {
    let end = min(block + 32u, rows);
    var part = 0.0;
    for (var place = block; place < end; place++) {
      let element = gaussian[index * rows + place];
      part += element * element;
    }
    total += part;
  }
  let length = sqrt(total);
  let first = gaussian[index * rows + index];
  reflections[index] = select(first - length, first + length, first >= 0.0);
  reflections[count + index] = 1.0 / (total + abs(first) * length);
}
`;

/** Column j is D_j H_0 H_1 … H_j e_j: those behind leave e_j as it is. An invocation has one column, or four. */
function columnsWgsl(width: 1 | 4): string {
  const own = width === 1
    ? "Float(place == index)"
    : "Float(vec4<u32>(place) == 4u * index + vec4(0u, 1u, 2u, 3u))";
  const first = (lane: string): string => `gaussian[${lane} * (rows + 1u)]`;
  const signs = width === 1
    ? `select(1.0, -1.0, ${first("index")} >= 0.0)`
    : `vec4(${
      [0, 1, 2, 3].map((lane) => `select(1.0, -1.0, ${first(`(4u * index + ${lane}u)`)} >= 0.0)`).join(", ")
    })`;
  return `override count: u32; // columns, or fours of them
override rows: u32;
alias Float = ${width === 1 ? "f32" : "vec4<f32>"};

@group(0) @binding(0) var<storage, read> gaussian: array<f32>;
@group(0) @binding(1) var<storage, read> reflections: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<Float>; // [rows, count]

${LINEAR_MAIN_WGSL}
  let sign = ${signs};
  for (var place = 0u; place < rows; place++) {
    out[place * count + index] = ${own} * sign;
  }
  for (var left = ${width}u * (index + 1u); left > 0u; left--) {
    let which = left - 1u;
    let vector = which * rows;
    let head = reflections[which];
    var total = head * out[which * count + index];
    for (var block = left; block < rows; block += 32u) {
      let end = min(block + 32u, rows);
      var part = Float();
      for (var place = block; place < end; place++) {
        part += gaussian[vector + place] * out[place * count + index];
      }
      total += part;
    }
    let share = total * reflections[${width}u * count + which];
    out[which * count + index] -= share * head;
    for (var place = left; place < rows; place++) {
      out[place * count + index] -= share * gaussian[vector + place];
    }
  }
}
`;
}
