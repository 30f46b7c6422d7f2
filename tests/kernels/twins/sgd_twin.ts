/** What a step of SGD needs besides the tensors. */
export interface SgdStep {
  readonly learningRate: number;
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly weightDecay: number;
}

/** One element before and after a step. */
export interface SgdElement {
  readonly p: number;
  readonly velocity: number;
}

/** One step as torch.optim.SGD does it without dampening, in float64. */
export function sgdTwin({ p, velocity }: SgdElement, g: number, step: SgdStep): SgdElement {
  const { learningRate, momentum, nesterov, weightDecay } = step;
  const gradient = g + weightDecay * p;
  const next = momentum * velocity + gradient;
  const direction = momentum === 0 ? gradient : nesterov ? gradient + momentum * next : next;
  return { p: p - learningRate * direction, velocity: next };
}
