/** A `T` whose optional fields may also be there and undefined. The others never are. */
export type WithUndefined<T> = {
  [K in keyof T]: Record<never, never> extends Pick<T, K> ? T[K] | undefined : Exclude<T[K], undefined>;
};

/** `fields` without those that are undefined: for what is written to a file, where a field is there or is not. */
export function definedFields<T extends object>(fields: WithUndefined<T>): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}
