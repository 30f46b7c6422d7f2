/**
 * The one uniform that changes from step to step. Every kernel that needs the seed, the step or a scheduled number
 * (the learning rate) binds the same 96 bytes, so that a step uploads them once.
 */
export interface StepScalars {
  /** 64 bits: a whole number from 0 to 2^53 - 1, or a bigint that is taken modulo 2^64. */
  readonly seed: number | bigint;
  /** The training step, 0 to 2^32 - 1. */
  readonly step: number;
  /** What the step does when it is not finite, by its number in `POLICY_NUMBERS`. Default 0. */
  readonly policy?: number;
  /**
   * Where the first example of this run is in its whole batch, where a batch is computed in pieces: random numbers go
   * by it. Default 0.
   */
  readonly firstExample?: number;
  /** At most 16 numbers, stored as f32; the rest is 0. An optimiser's rule says which is which. */
  readonly values: readonly number[];
}

/** Size in bytes of the encoded {@link StepScalars}. */
export const STEP_SCALARS_BYTES = 96;

/** How many `values` fit in {@link StepScalars}. */
export const STEP_SCALARS_VALUES = 16;

/** Where they begin: a multiple of 16, as a uniform has arrays. */
const VALUES_OFFSET = 32;

/** The WGSL declaration of the uniform's type. Value `i` is `values[i / 4][i % 4]`. */
export const STEP_SCALARS_WGSL = `struct StepScalars {
  seed_low: u32,
  seed_high: u32,
  step: u32,
  policy: u32,
  first_example: u32,
  values: array<vec4<f32>, 4>,
}
`;

/** The bytes of `scalars` as the uniform has them, little-endian; written to `into` (96 bytes or more) when given. */
export function encodeStepScalars(scalars: StepScalars, into?: Uint8Array): Uint8Array {
  const { seed, step, values, policy = 0, firstExample = 0 } = scalars;
  if (values.length > STEP_SCALARS_VALUES) {
    throw new RangeError(`StepScalars takes ${STEP_SCALARS_VALUES} values, not ${values.length}`);
  }
  if (!Number.isInteger(step) || step < 0 || step > 0xffff_ffff) {
    throw new RangeError(`A step is a whole number from 0 to 2^32 - 1, not ${step}`);
  }
  const bytes = into ?? new Uint8Array(STEP_SCALARS_BYTES);
  if (bytes.byteLength < STEP_SCALARS_BYTES) {
    throw new RangeError(`StepScalars needs ${STEP_SCALARS_BYTES} bytes, not ${bytes.byteLength}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, STEP_SCALARS_BYTES);
  const [seedLow, seedHigh] = splitSeed(seed);
  view.setUint32(0, seedLow, true);
  view.setUint32(4, seedHigh, true);
  view.setUint32(8, step, true);
  view.setUint32(12, policy, true);
  view.setUint32(16, firstExample, true);
  bytes.fill(0, 20, VALUES_OFFSET);
  for (let index = 0; index < STEP_SCALARS_VALUES; index++) {
    view.setFloat32(VALUES_OFFSET + 4 * index, values[index] ?? 0, true);
  }
  return bytes;
}

/** The low and high 32 bits of a seed. */
export function splitSeed(seed: number | bigint): [low: number, high: number] {
  if (typeof seed === "bigint") {
    const bits = BigInt.asUintN(64, seed);
    return [Number(bits & 0xffff_ffffn), Number(bits >> 32n)];
  }
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`A seed is a whole number from 0 to 2^53 - 1 or a bigint, not ${seed}`);
  }
  return [seed % 0x1_0000_0000, Math.floor(seed / 0x1_0000_0000)];
}
