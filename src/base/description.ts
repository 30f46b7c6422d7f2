/**
 * What something is, as far as a run depends on it: a name, and its options. It is written into checkpoints, so that
 * a run which goes on can tell what has changed.
 */
export type Description = { readonly name: string; readonly [option: string]: DescribedValue };

/** What an option may be. */
export type DescribedValue =
  | number
  | boolean
  | string
  | null
  | Description
  | readonly (number | null)[];

const DESCRIPTIONS = new WeakMap<object, Description>();

/** `thing`, of which {@link descriptionOf} then knows what it is. */
export function describedAs<T extends object>(thing: T, description: Description): T {
  DESCRIPTIONS.set(thing, description);
  return thing;
}

/** What {@link describedAs} said; `undefined` for anything else. */
export function descriptionOf(thing: object): Description | undefined {
  return DESCRIPTIONS.get(thing);
}
