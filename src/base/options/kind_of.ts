/** What `value` is, in the words of a message: `null`, `a number`, `an array`, `a promise`, `a Map`. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (isPromise(value)) return "a promise";
  if (typeof value !== "object") return withArticle(typeof value);
  const tag = Object.prototype.toString.call(value).slice("[object ".length, -1);
  return withArticle(tag === "Object" || tag === "Array" ? tag.toLowerCase() : tag);
}

/** Whether `value` has to be awaited: a promise, or what behaves like one. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

/**
 * @param how What opens it, such as `TensorStore.open()`.
 * @throws TypeError for a promise where what it gives is expected.
 */
export function requireAwaited(what: string, value: unknown, how: string): void {
  if (isPromise(value)) throw new TypeError(`${what} is a promise; await it first: await ${how}`);
}

/** "a Map", "an array". */
export function withArticle(noun: string): string {
  return `${/^[aeiou]/i.test(noun) ? "an" : "a"} ${noun}`;
}
