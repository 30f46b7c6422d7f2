/**
 * Names that other systems, other spellings and plain English have for the same option. The first of a group that a
 * function knows is the one that is suggested.
 */
const SYNONYMS: readonly (readonly string[])[] = [
  ["optimizer", "optimiser", "optim", "opt"],
  ["learningRate", "lr", "alpha", "rate", "stepSize", "eta", "schedule", "scheduler"],
  ["axes", "axis", "dim", "dims"],
  ["keepDims", "keepDim", "keepDimensions"],
  ["batchSize", "batch", "bs", "miniBatch"],
  ["epochs", "epoch", "numEpochs", "nEpochs", "maxEpochs"],
  ["weightDecay", "decay", "wd", "l2"],
  ["epsilon", "eps"],
  ["beta1", "betas", "b1"],
  ["beta2", "b2"],
  ["loss", "lossFn", "lossFunction", "criterion"],
  ["model", "layer", "net", "network", "module"],
  ["data", "dataset", "train", "trainData", "trainingData", "loader", "dataLoader"],
  ["validation", "val", "validationData", "valData", "evalData", "testData"],
  ["inputs", "input", "x", "xs", "features", "images"],
  ["labels", "label", "y", "ys", "target", "targets"],
  ["metrics", "metric"],
  ["savePath", "path", "dir", "dirPath", "directory", "folder", "checkpointDir"],
  ["interval", "every", "everyEpochs", "everyNEpochs", "saveInterval", "saveFreq", "frequency", "period"],
  ["everySteps", "everyNSteps", "everyNTrainSteps", "stepInterval", "saveSteps"],
  ["keep", "maxToKeep", "saveTotalLimit", "saveTopK", "retention"],
  ["last", "keepLast", "newest", "count", "n"],
  ["best", "monitor", "metric"],
  ["direction", "mode"],
  ["signal", "abortSignal", "abort", "controller"],
  ["tensors", "weights", "parameters"],
  ["state", "hostState", "stateDict", "tensors", "fields"],
  ["weightInitializer", "kernelInitializer", "initializer", "init"],
  ["bias", "useBias"],
  ["onStep", "onBatchEnd", "onBatch", "callback", "callbacks"],
  ["onEpoch", "onEpochEnd"],
  ["onSave", "onCheckpoint"],
  ["progress", "progressBar", "verbose"],
  ["transposeA", "adjointA"],
  ["transposeB", "adjointB"],
  ["timeoutMs", "timeout"],
  ["graceMs", "grace", "gracePeriod"],
  ["mode", "compression", "compress"],
  ["metadata", "meta"],
  ["rename", "mapping", "map"],
  ["strict", "exact"],
];

/** The one of `names` that a writer of `name` most likely meant, if one is near enough. */
export function nearestName(name: string, names: readonly string[]): string | undefined {
  const wanted = normalized(name);
  const same = names.find((candidate) => normalized(candidate) === wanted);
  return same ?? synonymOf(wanted, names) ?? nearestByLetters(wanted, names) ?? nearestByPart(wanted, names);
}

/** `batch_size`, `batch-size` and `BatchSize` are the same name. */
function normalized(name: string): string {
  return name.toLowerCase().replaceAll(/[_\-\s]/g, "");
}

function synonymOf(wanted: string, names: readonly string[]): string | undefined {
  return SYNONYMS.filter((group) => group.some((word) => normalized(word) === wanted))
    .flat().find((word) => names.includes(word));
}

function nearestByLetters(wanted: string, names: readonly string[]): string | undefined {
  const ranked = names
    .map((name) => ({ name, distance: editDistance(wanted, normalized(name)) }))
    .filter(({ name, distance }) => distance <= Math.max(1, Math.floor(name.length / 3)))
    .filter(({ name, distance }) => distance < name.length)
    .sort((a, b) => a.distance - b.distance);
  return ranked[0]?.name;
}

/** `clip` for `clipNorm`. */
function nearestByPart(wanted: string, names: readonly string[]): string | undefined {
  if (wanted.length < 4) return undefined;
  return names.find((name) =>
    normalized(name).includes(wanted) || (name.length >= 4 && wanted.includes(normalized(name)))
  );
}

/** Letters to insert, delete, replace or swap with a neighbour (optimal string alignment). */
function editDistance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const isSame = from[i - 1] === to[j - 1];
      const replaced = (last[j - 1] ?? 0) + (isSame ? 0 : 1);
      let least = Math.min((row[j - 1] ?? 0) + 1, (last[j] ?? 0) + 1, replaced);
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) {
        least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(least);
    }
    beforeLast = last;
    last = row;
  }
  return last[to.length] ?? 0;
}
