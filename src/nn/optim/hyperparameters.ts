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

/** A `RangeError` unless each of `decays` is from 0 to below 1. */
export function requireDecays(optimizer: string, decays: Readonly<Record<string, number>>): void {
  for (const [name, decay] of Object.entries(decays)) requireAtLeast(optimizer, name, decay, 0, 1);
}

/** The smallest number that a kernel may divide by where a gradient was always 0. */
const SMALLEST_NORMAL = 2 ** -126;

/** A `RangeError` unless `epsilon` can be divided by in f32. */
export function requireEpsilon(optimizer: string, epsilon: number): void {
  requireAtLeast(optimizer, "epsilon", epsilon, SMALLEST_NORMAL, 1e30);
}

/** A `TypeError` unless each of `slots` can name a group of tensors and an array of a shader, and no two are alike. */
export function requireSlots(optimizer: string, slots: readonly string[]): void {
  const wrong = slots.find((slot, index) =>
    !/^[a-z][a-zA-Z0-9_]*$/.test(slot) || slots.indexOf(slot) !== index
  );
  if (wrong === undefined) return;
  throw new TypeError(
    `${optimizer}: a slot is called by letters, digits and _, each by another name, found ${
      JSON.stringify(wrong)
    }`,
  );
}

/** The slot called `name`, of those that an update was given. */
export function slotOf<B>(slots: readonly B[], index: number, name: string): B {
  const slot = slots[index];
  if (slot === undefined) {
    throw new TypeError(`The update has no slot ${index} ("${name}"), only ${slots.length} slots`);
  }
  return slot;
}
