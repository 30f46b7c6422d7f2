import { CairnError } from "../../base/errors.ts";
import { checkTag, isTag, withEnding } from "../../checkpoint/file/tags.ts";

/** One `{field:0width.precisiontype}` of a template. */
interface Field {
  readonly name: string;
  readonly zeroPadded: boolean;
  readonly width: number;
  readonly precision: number | undefined;
  readonly type: "d" | "f" | "";
}

/** The fields that exist in every run. */
export const BASE_FIELDS: readonly string[] = ["epoch", "step", "loss"];

const FIELD = /^([A-Za-z_][A-Za-z0-9_]*)(?::(0?)([1-9][0-9]?)?(?:\.([0-9]{1,2}))?([df]?))?$/;

/**
 * The name of a checkpoint as a template: literal text with fields in Python's format syntax, `{epoch:02d}`,
 * `{step}`, `{val_loss:.4f}`. `{{` and `}}` are refused, as a brace can be in no tag. A trailing `.cairn` is
 * dropped: it is the extension that every checkpoint gets.
 *
 * Text that no name may have is refused when the template is parsed. What only a value makes of it is mended when it is
 * expanded: no save fails for its name.
 */
export class NameTemplate {
  /** The text that it was parsed from. */
  readonly source: string;
  /** Names of the fields, each once, in order of appearance. */
  readonly fields: readonly string[];
  readonly #pieces: readonly (string | Field)[];

  private constructor(source: string, pieces: readonly (string | Field)[]) {
    this.source = source;
    this.#pieces = pieces;
    this.fields = [...new Set(pieces.flatMap((piece) => typeof piece === "string" ? [] : [piece.name]))];
  }

  /**
   * Throws `unknown_field` for a field that is not in `known` or whose format is none, `invalid_tag` for text
   * that can be in no name.
   */
  static parse(source: string, known?: readonly string[]): NameTemplate {
    if (typeof source !== "string") {
      throw new TypeError(`A name template is a string, found ${describe(source)}`);
    }
    const pieces = source.replace(/\.cairn$/, "").split(/(\{[^{}]*\})/).filter((piece) => piece !== "").map((
      piece,
    ) => piece.startsWith("{") && piece.endsWith("}") ? parseField(piece, source, known) : piece);
    const template = new NameTemplate(source, pieces);
    requireTag(source, template.#text({}, () => undefined));
    template.#requireNoOtherNumber();
    return template;
  }

  /**
   * A tag that is an integer says the step, and sorts by it: an epoch's number would make an old checkpoint
   * of a new one.
   */
  #requireNoOtherNumber(): void {
    const ones = Object.fromEntries(this.fields.map((field) => [field, 1]));
    if (!this.#isOtherNumber(this.#text(ones, () => undefined))) return;
    throw new CairnError(
      "invalid_tag",
      `The name template "${this.source}" gives names that are numbers, and those are read as steps; ` +
        `put text before it, like "epoch-${this.source}", or use "{step}" alone`,
      { details: { value: this.source } },
    );
  }

  /** Whether `text` is a number, and not the step that a name may be. */
  #isOtherNumber(text: string): boolean {
    return /^[0-9]+$/.test(text) && !(this.#pieces.length === 1 && this.fields[0] === "step");
  }

  /**
   * The name for `values`. A field without a value becomes `na`, and `onMissing` is told. A name that is not valid
   * gets the name of the first field in front ("loss_-0.25"); one that is too long ends with its checksum.
   */
  expand(values: Readonly<Record<string, number | undefined>>, onMissing: (field: string) => void): string {
    const text = this.#text(values, onMissing);
    const tag = withEnding(text);
    if (isTag(tag) && !this.#isOtherNumber(tag)) return tag;
    const [field = "checkpoint"] = this.fields;
    return withEnding(`${field.replace(/^_+/, "") || "value"}_${text}`);
  }

  #text(values: Readonly<Record<string, number | undefined>>, onMissing: (field: string) => void): string {
    return this.#pieces.map((piece) => {
      if (typeof piece === "string") return piece;
      const value = values[piece.name];
      if (value !== undefined) return formatNumber(value, piece);
      onMissing(piece.name);
      return "na";
    }).join("");
  }
}

function parseField(text: string, source: string, known: readonly string[] | undefined): Field {
  const match = FIELD.exec(text.slice(1, -1));
  const names = known?.join(", ") ?? "whatever is measured";
  if (match === null) {
    throw new CairnError(
      "unknown_field",
      `Cannot read "${text}" in the name template "${source}"; ` +
        `write fields as {name}, {name:03d} or {name:.4f}, where name is one of ${names}`,
      { details: { value: text } },
    );
  }
  const [, name = "", zero, width, precision, type] = match;
  if (known !== undefined && !known.includes(name)) {
    throw new CairnError(
      "unknown_field",
      `The name template "${source}" has the field "${name}", which this run never has; ` +
        `known fields are ${names}`,
      { details: { value: name } },
    );
  }
  return {
    name,
    zeroPadded: zero === "0",
    width: width === undefined ? 0 : Number(width),
    precision: precision === undefined ? undefined : Number(precision),
    type: type === "d" || type === "f" ? type : "",
  };
}

/** A template has to give valid names for all values; `na` is used for the check, as it may be in a real name. */
function requireTag(source: string, example: string): void {
  try {
    checkTag(example);
  } catch (cause) {
    throw new CairnError(
      "invalid_tag",
      `The name template "${source}" gives names like "${example}"; a name has letters, digits, ".", "_" and "-", ` +
        `and begins and ends with a letter or digit (directories go into savePath)`,
      { details: { value: source }, cause },
    );
  }
}

function formatNumber(value: number, field: Field): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  const digits = digitsOf(Math.abs(value), field);
  const sign = value < 0 ? "-" : "";
  const padding = Math.max(0, field.width - digits.length - sign.length);
  // Padding with spaces, which is what a width without a zero means, is in no valid name.
  return sign + (field.zeroPadded ? "0".repeat(padding) : "") + digits;
}

function digitsOf(magnitude: number, field: Field): string {
  let digits = String(magnitude);
  if (field.type === "d") digits = Math.round(magnitude).toFixed(0);
  else if (field.type === "f") digits = magnitude.toFixed(field.precision ?? 6);
  else if (field.precision !== undefined) digits = magnitude.toPrecision(Math.max(1, field.precision));
  // The "+" of an exponent is in no valid name; 1e21 reads as well as 1e+21.
  return digits.replace("+", "");
}

function describe(value: unknown): string {
  return value === null ? "null" : typeof value;
}
