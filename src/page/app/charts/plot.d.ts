// The part of Observable Plot that the page uses: `tsconfig.json` takes it in place of Plot's own types, which name
// those of d3, another package, and do not hold under `exactOptionalPropertyTypes`.

type Options = Readonly<Record<string, unknown>>;

/** A channel or a constant. */
type Value<T> =
  | string
  | number
  | boolean
  | null
  | undefined
  | Options
  | ((datum: T, index: number) => unknown);

/** Something that is drawn. */
export interface Mark {
  readonly isMark?: never;
}

/** A mark of data: options are channels or constants by name. */
type MarkFunction = <T>(data: readonly T[], options?: Readonly<Record<string, Value<T>>>) => Mark;

export const lineY: MarkFunction;
export const dot: MarkFunction;
export const link: MarkFunction;
export const rectY: MarkFunction;
export const ruleX: MarkFunction;
export const ruleY: MarkFunction;
export const text: MarkFunction;
export const tip: MarkFunction;

/** Options of a mark that shows only what is nearest to the pointer. */
export function pointerX<T extends Options>(options: T): T;

/** A picture. */
export function plot(
  options: Options & { readonly marks: readonly (Mark | undefined | null)[] },
): SVGSVGElement | HTMLElement;
