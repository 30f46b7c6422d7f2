/**
 * `options`, or a `TypeError` that says what is expected, where taking an object of nothing apart would only say
 * what that was.
 *
 * @param example Such as `{ epochs: 10 }`.
 */
export function requireOptions<T extends object>(what: string, options: T, example: string): T {
  if (typeof options === "object" && options !== null) return options;
  const found = options === null ? "null" : typeof options;
  throw new TypeError(`${what} takes options like ${example}, found ${found}`);
}
