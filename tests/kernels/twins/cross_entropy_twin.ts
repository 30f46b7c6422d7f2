/** Losses, probabilities and the gradient for the losses' gradient `scale`, in float64. */
export interface CrossEntropy {
  readonly losses: Float64Array;
  readonly probabilities: Float64Array;
  readonly gradient: Float64Array;
}

/** Cross-entropy of rows of logits against labels; NaN where the label is no class. */
export function crossEntropyTwin(
  logits: ArrayLike<number>,
  labels: ArrayLike<number>,
  scale: ArrayLike<number>,
): CrossEntropy {
  const rows = labels.length;
  const classes = rows === 0 ? 0 : logits.length / rows;
  const losses = new Float64Array(rows);
  const probabilities = new Float64Array(logits.length);
  const gradient = new Float64Array(logits.length);
  for (let row = 0; row < rows; row++) {
    const own = Array.from({ length: classes }, (_, index) => logits[row * classes + index] ?? NaN);
    const label = labels[row] ?? NaN;
    const largest = own.reduce((most, x) => Math.max(most, x), -Infinity);
    const sum = own.reduce((total, x) => total + Math.exp(x - largest), 0);
    losses[row] = Math.log(sum) - ((own[label] ?? NaN) - largest);
    own.forEach((x, index) => {
      const probability = Math.exp(x - largest) / sum;
      probabilities[row * classes + index] = probability;
      const isKnown = label < classes;
      gradient[row * classes + index] = isKnown
        ? (probability - Number(index === label)) * (scale[row] ?? NaN)
        : NaN;
    });
  }
  return { losses, probabilities, gradient };
}
