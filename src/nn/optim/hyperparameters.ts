/** The slot called `name`, of those that an update was given. */
export function slotOf<B>(slots: readonly B[], index: number, name: string): B {
  const slot = slots[index];
  if (slot === undefined) {
    throw new TypeError(`The update has no slot ${index} ("${name}"), only ${slots.length} slots`);
  }
  return slot;
}

/** A `RangeError` unless `value` is a finite number from `least`, and below `limit` where there is one. */
export function requireAtLeast(
  optimizer: string,
  option: string,
  value: number,
  least: number,
  limit: number = Infinity,
): void {
  if (Number.isFinite(value) && value >= least && value < limit) return;
  const range = limit === Infinity ? `from ${least}` : `from ${least} to below ${limit}`;
  throw new RangeError(`${optimizer}: ${option} is a number ${range}, found ${value}`);
}
