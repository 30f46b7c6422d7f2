/** What was measured at a step. */
export interface PlottedRecord {
  /** Steps done. */
  readonly step: number;
  /** Figures by name. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** What of a history is plotted: that of a `Trainer`, or one that was read from a checkpoint. */
export interface PlottedHistory {
  /** Losses of the steps, from the first. */
  readonly loss: ArrayLike<number>;
  /** What was measured after each epoch. */
  readonly epochs: readonly PlottedRecord[];
  /** What was measured within epochs. */
  readonly validations?: readonly PlottedRecord[] | undefined;
}

/** A line through points. */
export interface Curve {
  readonly name: string;
  /** In the order of their steps; all are finite. */
  readonly points: readonly (readonly [step: number, value: number])[];
  /** Whether it is of single steps, behind the others. */
  readonly isThin: boolean;
}

/**
 * The curves of a history, those that belong into one picture together: losses, and everything else.
 *
 * @param columns How many points the losses of steps are at most, twice.
 */
export function curvesOf({ loss, epochs, validations = [] }: PlottedHistory, columns: number): Curve[][] {
  const records = [...epochs, ...validations].toSorted((a, b) => a.step - b.step);
  const names = [...new Set(records.flatMap(({ metrics }) => Object.keys(metrics)))];
  const measured = names.map((name): Curve => {
    const points = records.flatMap(({ step, metrics }): [number, number][] => {
      const value = metrics[name];
      return value === undefined || !Number.isFinite(value) ? [] : [[step, value]];
    });
    return { name, points, isThin: false };
  });
  const steps: Curve = {
    name: "loss of a step",
    points: thinned(loss, Math.max(1, Math.floor(columns))),
    isThin: true,
  };
  const isLoss = ({ name }: Curve): boolean => /(^|_)loss$/.test(name);
  const panels = [[steps, ...measured.filter(isLoss)], measured.filter((curve) => !isLoss(curve))];
  return panels.map((curves) => curves.filter(({ points }) => points.length > 0)).filter(({ length }) =>
    length > 0
  );
}

/** Of each column the lowest and the highest loss, so that no peak is lost. */
function thinned(loss: ArrayLike<number>, columns: number): [number, number][] {
  const perColumn = Math.max(1, Math.ceil(loss.length / columns));
  const points: [number, number][] = [];
  for (let from = 0; from < loss.length; from += perColumn) {
    let low: [number, number] | undefined;
    let high: [number, number] | undefined;
    for (let step = from; step < Math.min(from + perColumn, loss.length); step++) {
      const value = loss[step] ?? NaN;
      if (!Number.isFinite(value)) continue;
      if (low === undefined || value < low[1]) low = [step + 1, value];
      if (high === undefined || value > high[1]) high = [step + 1, value];
    }
    if (low === undefined || high === undefined) continue;
    points.push(...low[0] === high[0] ? [low] : low[0] < high[0] ? [low, high] : [high, low]);
  }
  return points;
}

/** An axis for these values, with marks at round numbers. */
export function axisOf(values: readonly number[]): {
  readonly least: number;
  readonly most: number;
  readonly marks: readonly number[];
} {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)];
  if (values.length === 0) [least, most] = [0, 1];
  if (!(most > least)) {
    const around = Math.abs(least) || 1;
    [least, most] = [least - around / 2, least + around / 2];
  }
  const step = roundStep((most - least) / 4);
  const first = Math.ceil(least / step);
  const count = Math.floor(most / step) - first + 1;
  return {
    least,
    most,
    marks: Array.from({ length: Math.max(0, count) }, (_, index) => (first + index) * step),
  };
}

/** 1, 2 or 5 times a power of ten, no less than `step`. */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  return power * ([1, 2, 5].find((factor) => factor * power >= step) ?? 10);
}
