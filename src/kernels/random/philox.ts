import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { requireSizes } from "../sizes.ts";
import { splitSeed, STEP_SCALARS_WGSL } from "../step_scalars.ts";
import { PHILOX_WGSL } from "./philox_wgsl.ts";

/**
 * `uniform`: f32 in [0, 1), multiples of 2^-24. `normal`: f32 with mean 0 and variance 1, by Box and Muller; none
 * beyond 5.8. `bits`: u32.
 */
export type Distribution = "uniform" | "normal" | "bits";

/** What a random fill writes. */
export interface PhiloxOptions {
  readonly distribution: Distribution;
  /** Elements of `out`. */
  readonly count: number;
  /** Which of 2^32 independent sequences, e.g. the number of the op in its program. */
  readonly stream: number;
  /**
   * Elements of one example of the batch, where the numbers are those of the examples' places in the whole batch: the
   * step's scalars say where the first one is. Unless given, they are those of the places in `out`.
   */
  readonly perExample?: number | undefined;
  /** Where `out` begins in a tensor of which it is a part: a multiple of 4. Default 0. */
  readonly first?: number | undefined;
  /** Used when no scalars are bound. Default 0. */
  readonly seed?: number | bigint;
  /** Used when no scalars are bound. Default 0. */
  readonly step?: number;
}

/**
 * Random numbers as a pure function of (seed, step, stream, index): Philox 4x32-10, the counter-based generator of
 * Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011).
 *
 * The key is the seed; the counter is (index / 4, step, stream, 0), and its four words are elements index to index +
 * 3. Bits and uniform numbers are the same on every adapter; normal ones differ in their last bits. Seed and step
 * come from the step's scalars when they are bound, from the options otherwise.
 */
export function philox<B>(
  bindings: { readonly out: B; readonly scalars?: B | undefined },
  options: PhiloxOptions,
): Dispatch<B> {
  const { distribution, count, stream, perExample = 0, first = 0, seed = 0, step = 0 } = options;
  requireSizes("philox", { count, stream, step, perExample, first });
  const [seed_low, seed_high] = splitSeed(seed);
  const { out, scalars } = bindings;
  const fromScalars = scalars !== undefined;
  const isMoved = fromScalars && perExample > 0;
  // Groups of four that begin within another group are taken apart.
  const isShifted = isMoved && perExample % 4 !== 0;
  const isVector = count % 4 === 0 && !isShifted;
  const groups = Math.ceil((count + (isShifted ? 3 : 0)) / 4);
  return {
    label: `philox ${distribution} ${count}`,
    code: philoxWgsl(distribution, isVector, fromScalars, isMoved),
    constants: {
      count: groups,
      ...isMoved ? { per_example: perExample } : {},
      stream,
      ...first > 0 ? { first_counter: first / 4 } : {},
      ...isVector ? {} : { element_count: count },
      ...fromScalars ? {} : { seed_low, seed_high, step },
    },
    bindings: fromScalars ? [out, scalars] : [out],
    workgroups: linearGrid(count === 0 ? 0 : groups),
  };
}

function philoxWgsl(
  distribution: Distribution,
  isVector: boolean,
  fromScalars: boolean,
  isMoved: boolean,
): string {
  const element = distribution === "bits" ? "u32" : "f32";
  return `override count: u32; // groups of four elements
override stream: u32;${isVector ? "" : "\noverride element_count: u32;"}${
    isMoved ? "\noverride per_example: u32;" : ""
  }
// Where the counter starts, and, for known answers, its last word.
override first_counter: u32 = 0u;
override last_word: u32 = 0u;
${fromScalars ? SCALARS_WGSL : OVERRIDES_WGSL}
@group(0) @binding(0) var<storage, read_write> out: array<${isVector ? `vec4<${element}>` : element}>;

${PHILOX_WGSL}
${DISTRIBUTIONS[distribution]}
${LINEAR_MAIN_WGSL}
  let first = ${isMoved ? "scalars.first_example * per_example" : "0u"};
  let counter = vec4<u32>(index + first / 4u + first_counter, the_step(), stream, last_word);
  let numbers = numbers_from(philox(counter, the_seed()));
${isVector ? STORE_VECTOR : STORE_ELEMENTS}
}
`;
}

const OVERRIDES_WGSL = `override seed_low: u32;
override seed_high: u32;
override step: u32;

fn the_seed() -> vec2<u32> {
  return vec2<u32>(seed_low, seed_high);
}

fn the_step() -> u32 {
  return step;
}
`;

const SCALARS_WGSL = `
${STEP_SCALARS_WGSL}
@group(0) @binding(1) var<uniform> scalars: StepScalars;

fn the_seed() -> vec2<u32> {
  return vec2<u32>(scalars.seed_low, scalars.seed_high);
}

fn the_step() -> u32 {
  return scalars.step;
}
`;

const DISTRIBUTIONS: Readonly<Record<Distribution, string>> = {
  bits: `fn numbers_from(words: vec4<u32>) -> vec4<u32> {
  return words;
}
`,
  uniform: `fn numbers_from(words: vec4<u32>) -> vec4<f32> {
  return vec4<f32>(words >> vec4<u32>(8u)) * 0x1p-24f;
}
`,
  normal:
    `// Two numbers from two: u in (0, 1], so that its logarithm is finite, and an angle in [-pi, pi), where sin and cos are exact
// enough. Near u = 1 the logarithm may come out above 0, hence the max.
fn normal_pair(words: vec2<u32>) -> vec2<f32> {
  let u = (f32(words.x >> 8u) + 1.0) * 0x1p-24f;
  let angle = (f32(words.y >> 8u) * 0x1p-24f - 0.5) * 6.283185307;
  return sqrt(max(-2.0 * log(u), 0.0)) * vec2<f32>(cos(angle), sin(angle));
}

fn numbers_from(words: vec4<u32>) -> vec4<f32> {
  return vec4<f32>(normal_pair(words.xy), normal_pair(words.zw));
}
`,
};

const STORE_VECTOR = "  out[index] = numbers;";

// The first group may begin before the first element.
const STORE_ELEMENTS = `  for (var lane = 0u; lane < 4u; lane++) {
    let place = index * 4u + lane - first % 4u;
    if (place < element_count) {
      out[place] = numbers[lane];
    }
  }`;
