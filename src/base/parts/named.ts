/** One thing, or several by name. */
export type Named<T> = T | Readonly<Record<string, T>>;

/**
 * `T` for each that `Given` has: one where that is one `Of`, or one under each of its names.
 */
export type Like<Given, Of, T> = Given extends Of ? T : { readonly [Name in keyof Given]: T };

/** Things under the names that parts have in a program: `inputs` where it is one, `inputs.image` of several. */
export type Parts<T> = Readonly<Record<string, T>>;

/**
 * One thing under the name `what`, several each under `what.name`, in their order.
 *
 * @throws TypeError where there is none, and for a name that is not of letters, digits and _.
 */
export function partsOf<T>(what: string, given: Named<T>, isOne: (given: unknown) => given is T): Parts<T> {
  if (isOne(given)) return { [what]: given };
  const several = Object.entries(given);
  if (several.length === 0) throw new TypeError(`The ${what} are none; give one, or several by name`);
  return Object.fromEntries(several.map(([name, each]) => [partName(what, name), each]));
}

/** What `name` of several is called among the parts of a program. */
export function partName(what: string, name: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return `${what}.${name}`;
  throw new TypeError(
    `One of several ${what} is called ${JSON.stringify(name)}; its name is of letters, digits and _`,
  );
}

/** The parts of `what` among `parts`. */
export function partsIn<T>(what: string, parts: Parts<T>): Parts<T> {
  return Object.fromEntries(Object.entries(parts).filter(([part]) => isPartOf(what, part)));
}

/** Whether `part` is `what`, or one of several. */
export function isPartOf(what: string, part: string): boolean {
  return part === what || part.startsWith(`${what}.`);
}

/** What `partsOf` was given: the one thing, or several by their names. */
export function namedOf<T>(what: string, parts: Parts<T>): Named<T> {
  const one = parts[what];
  if (one !== undefined) return one;
  return Object.fromEntries(
    Object.entries(parts).filter(([part]) => isPartOf(what, part)).map(([part, each]) => [
      part.slice(what.length + 1),
      each,
    ]),
  );
}

/** A part in words: `inputs`, or `inputs "image"` of several; `singular` says `input "image"`. */
export function partText(part: string, form: "plural" | "singular" = "plural"): string {
  const dot = part.indexOf(".");
  const what = dot < 0 ? part : part.slice(0, dot);
  const word = form === "singular" ? what.replace(/s$/, "") : what;
  return dot < 0 ? word : `${word} "${part.slice(dot + 1)}"`;
}
