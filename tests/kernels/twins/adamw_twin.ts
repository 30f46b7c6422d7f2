/** What a step of AdamW needs besides the tensors. */
export interface AdamWStep {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** 1 in the first step. */
  readonly t: number;
}

/** One element before and after a step. */
export interface AdamWElement {
  readonly p: number;
  readonly m: number;
  readonly v: number;
}

/** One step as torch.optim.AdamW does it for a single tensor, line by line, in float64. */
export function adamwTwin({ p, m, v }: AdamWElement, g: number, step: AdamWStep): AdamWElement {
  const { learningRate, beta1, beta2, epsilon, weightDecay, t } = step;
  const decayed = p * (1 - learningRate * weightDecay);
  const mean = m + (g - m) * (1 - beta1);
  const meanSquare = v * beta2 + (1 - beta2) * g * g;
  const denominator = Math.sqrt(meanSquare) / Math.sqrt(1 - beta2 ** t) + epsilon;
  return { p: decayed - learningRate / (1 - beta1 ** t) * (mean / denominator), m: mean, v: meanSquare };
}
