/** What of a run in f16 says by what its loss is multiplied, so that gradients are not too small for 16 bits. */
export interface LossScale {
  /** A power of two; 0 before the first step, which has {@link FIRST_LOSS_SCALE}. */
  readonly scale: number;
  /** Updates since it last changed. */
  readonly updates: number;
}

/** Words of a {@link LossScale}: an f32 and a u32. */
export const LOSS_SCALE_WORDS = 2;

/** By what the loss of the first step is multiplied. */
export const FIRST_LOSS_SCALE = 65_536;

/** Updates after which a scale is doubled. */
export const LOSS_SCALE_INTERVAL = 2000;

const LARGEST_LOSS_SCALE = 2 ** 24;

/** The WGSL type of it, and `rescaled`: what becomes of it, where the gradients were finite or not. */
export const LOSS_SCALE_WGSL: string = `struct LossScale {
  scale: f32,
  updates: u32,
}

fn rescaled(known: LossScale, is_finite: bool) -> LossScale {
  let scale = select(known.scale, ${FIRST_LOSS_SCALE}.0, known.scale == 0.0);
  if (!is_finite) {
    return LossScale(max(scale * 0.5, 1.0), 0u);
  }
  if (known.updates + 1u < ${LOSS_SCALE_INTERVAL}u) {
    return LossScale(scale, known.updates + 1u);
  }
  return LossScale(min(scale * 2.0, ${LARGEST_LOSS_SCALE}.0), 0u);
}
`;
