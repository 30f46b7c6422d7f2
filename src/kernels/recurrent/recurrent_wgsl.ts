import { workgroupMainWgsl } from "../../gpu/dispatch.ts";
import { UNIFORM_BYTES } from "../kernel_steps.ts";
import { component, each, elementTypeOf, lines } from "../matmul/matmul_layout.ts";
import { CELL_FUNCTIONS_WGSL } from "./cells.ts";
import type { RecurrentTile, RecurrentVariant } from "./recurrent_sizes.ts";

/** What a dispatch of one step computes: a part of the batch and of the units, or a part of their sums. */
export interface RecurrentPiece {
  /** Tiles along the rows, and all of them. */
  readonly rowTiles: number;
  readonly tiles: number;
  /** Rows of the batch: where they begin, and how many there are. */
  readonly firstRow: number;
  readonly rows: number;
  /** The same of the units. */
  readonly firstUnit: number;
  readonly units: number;
  /** The step, and how many there are. */
  readonly now: number;
  readonly time: number;
  readonly hidden: number;
  /** Vectors between neighbouring steps of k in blocks of the state and of the weights. */
  readonly statePitch: number;
  readonly weightPitch: number;
  /** Steps of k in a block, and where blocks of these rows are among those of the next step. */
  readonly depth: number;
  readonly rowBlock: number;
  readonly rowBlocks: number;
  readonly depthBlocks: number;
  /** 1 where there is no step before in the order of the pass. */
  readonly begins: 0 | 1;
  /** 1 where the sums go on from those of the piece before, and where they are complete. */
  readonly goesOn: 0 | 1;
  readonly isComplete: 0 | 1;
  /** Steps of k in each pair of blocks. */
  readonly steps: readonly number[];
}

/** The numbers of a piece as words, in the order in which kernels bind them. */
export function pieceWords(piece: RecurrentPiece): number[] {
  const { steps, ...numbers } = piece;
  return [...PIECE.map((name) => numbers[name]), ...steps];
}

/** The order of the numbers. */
const PIECE = [
  "rowTiles",
  "tiles",
  "firstRow",
  "rows",
  "firstUnit",
  "units",
  "now",
  "time",
  "hidden",
  "statePitch",
  "weightPitch",
  "depth",
  "rowBlock",
  "rowBlocks",
  "depthBlocks",
  "begins",
  "goesOn",
  "isComplete",
] as const satisfies readonly (keyof RecurrentPiece)[];

/** A binding besides blocks and numbers. */
export interface RecurrentBinding {
  readonly name: string;
  readonly access: "read" | "read_write";
  /** How it is accessed: four neighbouring units at once (`units`), or as it lies in blocks (`elements`, `vectors`). */
  readonly as: "units" | "elements" | "vectors";
}

/** What the source of a pass depends on. */
export interface RecurrentSource {
  readonly title: string;
  readonly variant: RecurrentVariant;
  readonly tile: RecurrentTile;
  /** Pairs of blocks that a dispatch multiplies, and how many blocks of weights meet one of the state. */
  readonly pairs: number;
  readonly factors: number;
  /** Whether sums are the work of several dispatches. */
  readonly isCut: boolean;
  /** Whether rows of units are whole vectors. */
  readonly isVector: boolean;
  readonly bindings: readonly RecurrentBinding[];
  /** Declares what does not depend on the row, for the vector of units that begins at `unit`. */
  readonly perUnit: readonly string[];
  /** What is done with the sums of a row, `sum_0` and so on; `line` is `row * time + now`. */
  readonly perRow: readonly string[];
}

/**
 * WGSL of one step of a pass: an invocation adds up products of blocks of the state and of the weights, for a tile of
 * rows and units, and then computes the cell for it. Everything is in one kernel, so that a step is one dispatch
 * wherever the blocks allow it.
 *
 * Why blocks in uniform buffers, and why tiles are large, is said in `packed_wgsl.ts`. Sizes are bound, so that all
 * steps share a pipeline.
 */
export function recurrentWgsl(source: RecurrentSource): string {
  const { title, tile, variant, perUnit, perRow, isCut, isVector } = source;
  const { rows, vectors, invocations } = tile;
  const [tileOfRows, tileOfUnits] = variant === "uniform"
    ? ["tile % piece.row_tiles", "tile / piece.row_tiles"]
    : ["tile / unit_tiles", "tile % unit_tiles"];
  return `// ${title}: an invocation computes ${rows} rows of ${vectors} vectors.
struct Piece {
${lines(1, PIECE.map((name) => `${snake(name)}: u32,`))}
${lines(1, each(source.pairs, (pair) => `steps_${pair}: u32,`))}
}

${declarations(source).join("\n")}

${CELL_FUNCTIONS_WGSL}
${accessFunctions(source.bindings, isVector).join("\n")}
${workgroupMainWgsl(invocations, "number")}
  let tile = number * ${invocations}u + local;
  if (tile >= piece.tiles) {
    return;
  }
${
    variant === "storage"
      ? "  let unit_tiles = piece.tiles / piece.row_tiles;\n"
      : ""
  }  let row_tile = ${tileOfRows};
  let unit_tile = ${tileOfUnits};
${lines(1, eachSum(source, (name) => `var ${name} = vec4<f32>();`))}
${lines(1, each(source.pairs, (pair) => multiply(source, pair)))}
  var sums = array<vec4<f32>, ${sumCount(source)}>(
${lines(2, eachSum(source, (name) => `${name},`))}
  );
${isCut ? lines(1, goOn(source)) : ""}
  let first = row_tile * ${rows}u;
  // Not a constant: compilers for CPU adapters would unroll the loop.
  let vectors = min(${vectors}u, (piece.units - unit_tile * ${4 * vectors}u + 3u) / 4u);
  for (var at_vector = 0u; at_vector < vectors; at_vector++) {
    let unit = piece.first_unit + (unit_tile * ${vectors}u + at_vector) * 4u;
    let count = min(4u, piece.hidden - unit);
${lines(2, perUnit)}
    for (var at_row = 0u; at_row < min(${rows}u, piece.rows - first); at_row++) {
      let row = piece.first_row + first + at_row;
      let line = row * piece.time + piece.now;
${
    lines(
      3,
      each(
        source.factors,
        (f) => `let sum_${f} = sums[(at_row * ${source.factors}u + ${f}u) * ${vectors}u + at_vector];`,
      ),
    )
  }
${lines(3, perRow)}
    }
  }
}
`;
}

/** Statements that put four units of gate `gate` of a row where the step behind reads them. */
export function storeState(gate: number, value: string): string[] {
  const block = `(${gate}u * piece.depth_blocks + unit / piece.depth) * piece.row_blocks + piece.row_block`;
  return [
    "{",
    `  let block = ${block};`,
    "  let pitch = piece.state_pitch * 4u;",
    "  let place = (block * piece.depth + unit % piece.depth) * pitch + first + at_row;",
    ...each(4, (i) => `  next[place + ${i}u * pitch] = ${value}.${component(i)};`),
    "}",
  ];
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Sums of a tile: rows, then factors, then vectors. Only one of the last two is more than one. */
function sumCount({ tile, factors }: RecurrentSource): number {
  return tile.rows * factors * tile.vectors;
}

function eachSum(
  source: RecurrentSource,
  line: (name: string, r: number, f: number, v: number) => string,
): string[] {
  const { tile, factors } = source;
  return each(
    tile.rows,
    (r) => each(factors, (f) => each(tile.vectors, (v) => line(`sum_${r}_${f}_${v}`, r, f, v))),
  );
}

function declarations(source: RecurrentSource): string[] {
  const { variant, pairs, factors, bindings, isVector } = source;
  const blocks = variant === "uniform"
    ? each(pairs, (pair) => [`state_${pair}`, ...each(factors, (f) => `weights_${pair}_${f}`)])
    : ["state", "weights"];
  const declared = blocks.map((name) =>
    variant === "uniform"
      ? `var<uniform> ${name}: array<vec4<f32>, ${UNIFORM_BYTES / 16}>;`
      : `var<storage, read> ${name}: array<vec4<f32>>;`
  );
  const others = bindings.map(({ name, access, as }) => {
    const type = elementTypeOf(as === "vectors" || as === "units" && isVector);
    return `var<storage, ${access}> ${name}: array<${type}>;`;
  });
  return [...declared, "var<uniform> piece: Piece;", ...others].map((text, index) =>
    `@group(0) @binding(${index}) ${text}`
  );
}

/** `load_x(place)` and `store_x(place, value, count)` of four neighbouring units, of which `count` are there. */
function accessFunctions(bindings: readonly RecurrentBinding[], isVector: boolean): string[] {
  return bindings.filter(({ as }) => as === "units").flatMap(({ name, access }) => {
    const load = isVector
      ? [`  return ${name}[place / 4u];`]
      : [`  return vec4<f32>(${each(4, (i) => `${name}[place + ${i}u]`).join(", ")});`];
    const store = isVector ? [`  ${name}[place / 4u] = value;`] : [
      `  ${name}[place] = value.x;`,
      ...[1, 2, 3].map((i) => `  if (count > ${i}u) { ${name}[place + ${i}u] = value.${component(i)}; }`),
    ];
    return [
      `fn load_${name}(place: u32) -> vec4<f32> {`,
      ...load,
      "}",
      ...access === "read"
        ? []
        : ["", `fn store_${name}(place: u32, value: vec4<f32>, count: u32) {`, ...store, "}"],
      "",
    ];
  });
}

/** All products of a pair. */
function multiply(source: RecurrentSource, pair: number): string[] {
  const { variant, tile, factors } = source;
  const isUniform = variant === "uniform";
  const state = isUniform ? `state_${pair}[` : `state[${pair}u * piece.depth * piece.state_pitch + `;
  const weights = (f: number) =>
    isUniform
      ? `weights_${pair}_${f}[`
      : `weights[${pair * factors + f}u * piece.depth * piece.weight_pitch + `;
  return [
    "{",
    `  var state_place = row_tile * ${tile.rows / 4}u;`,
    `  var weight_place = unit_tile * ${tile.vectors}u;`,
    `  for (var p = 0u; p < piece.steps_${pair}; p++) {`,
    ...each(tile.rows / 4, (i) => `    let rows_${i} = ${state}state_place + ${i}u];`),
    ...each(
      factors,
      (f) => each(tile.vectors, (v) => `    let units_${f}_${v} = ${weights(f)}weight_place + ${v}u];`),
    ),
    ...eachSum(
      source,
      (name, r, f, v) =>
        `    ${name} = fma(vec4<f32>(rows_${Math.floor(r / 4)}.${component(r)}), units_${f}_${v}, ${name});`,
    ),
    "    state_place += piece.state_pitch;",
    "    weight_place += piece.weight_pitch;",
    "  }",
    "}",
  ];
}

/** Adds the sums of the piece before, and leaves them to the one behind. */
function goOn(source: RecurrentSource): string[] {
  const count = sumCount(source);
  return [
    `let partial = tile * ${count}u;`,
    `let sum_count = ${count}u * workgroups.z;`,
    "if (piece.goes_on == 1u) {",
    "  for (var s = 0u; s < sum_count; s++) { sums[s] = partials[partial + s] + sums[s]; }",
    "}",
    "if (piece.is_complete == 0u) {",
    "  for (var s = 0u; s < sum_count; s++) { partials[partial + s] = sums[s]; }",
    "  return;",
    "}",
  ];
}
