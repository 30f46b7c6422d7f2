import { CairnError } from "../base/errors.ts";

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
const LITERAL = /^[A-Za-z0-9._-]*$/;

/**
 * The name of a checkpoint as a template: literal text with fields in Python's format syntax, `{epoch:02d}`, `{step}`,
 * `{val_loss:.4f}`. `{{` and `}}` are refused, as a brace can be in no tag. A trailing `.cairn` is dropped: it is the
 * extension that every checkpoint gets.
 */
export class NameTemplate {
  readonly source: string;
  /** Names of the fields, each once, in order of appearance. */
  readonly fields: readonly string[];
  readonly #parts: readonly (string | Field)[];

  private constructor(source: string, parts: readonly (string | Field)[]) {
    this.source = source;
    this.#parts = parts;
    this.fields = [...new Set(parts.flatMap((part) => typeof part === "string" ? [] : [part.name]))];
  }

  /** Throws `unknown_field` for a field that is not in `known` or whose format is none, `invalid_tag` for text that can be in no name. */
  static parse(source: string, known?: readonly string[]): NameTemplate {
    if (typeof source !== "string") {
      throw new TypeError(`A name template is a string, found ${describe(source)}`);
    }
    const parts = source.replace(/\.cairn$/, "").split(/(\{[^{}]*\})/).filter((part) => part !== "").map((part) =>
      part.startsWith("{") && part.endsWith("}") ? parseField(part, source, known) : part
    );
    const template = new NameTemplate(source, parts);
    for (const part of parts) {
      if (typeof part === "string" && !LITERAL.test(part)) throw invalidText(source, part);
    }
    const example = template.expand({}, () => undefined);
    if (!/^[A-Za-z0-9](?:.*[A-Za-z0-9])?$/.test(example)) throw invalidText(source, example);
    return template;
  }

  /** The name for `values`. A field without a value becomes `na`, and `onMissing` is told. */
  expand(values: Readonly<Record<string, number | undefined>>, onMissing: (field: string) => void): string {
    return this.#parts.map((part) => {
      if (typeof part === "string") return part;
      const value = values[part.name];
      if (value !== undefined) return formatNumber(value, part);
      onMissing(part.name);
      return "na";
    }).join("");
  }
}

function parseField(text: string, source: string, known: readonly string[] | undefined): Field {
  const match = FIELD.exec(text.slice(1, -1));
  if (match === null) {
    throw new CairnError(
      "unknown_field",
      `Cannot read "${text}" in the name template "${source}"; write fields as {name}, {name:03d} or {name:.4f}${
        known === undefined ? "" : `, where name is one of ${known.join(", ")}`
      }`,
      { details: { value: text } },
    );
  }
  const [, name = "", zero, width, precision, type] = match;
  if (known !== undefined && !known.includes(name)) {
    throw new CairnError(
      "unknown_field",
      `The name template "${source}" has the field "${name}", which this run never has; known fields are ${
        known.join(", ")
      }`,
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

function invalidText(source: string, text: string): CairnError {
  return new CairnError(
    "invalid_tag",
    `The name template "${source}" gives names with "${text}"; a name has letters, digits, ".", "_" and "-", ` +
      `and begins and ends with a letter or digit (directories go into savePath)`,
    { details: { value: source } },
  );
}

function formatNumber(value: number, field: Field): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  const digits = digitsOf(Math.abs(value), field);
  // Object.is, because a loss of -0 is written as 0, and a rounded -0.00001 as -0.0000 just as Python does.
  const sign = value < 0 ? "-" : "";
  const padding = Math.max(0, field.width - digits.length - sign.length);
  // Padding with spaces, which is what a width without a zero means, is in no valid name.
  return sign + (field.zeroPadded ? "0".repeat(padding) : "") + digits;
}

function digitsOf(magnitude: number, field: Field): string {
  if (field.type === "d") return Math.round(magnitude).toFixed(0);
  if (field.type === "f") return magnitude.toFixed(field.precision ?? 6);
  // "+" of an exponent is in no valid name; 1e21 reads as well as 1e+21.
  return (field.precision === undefined ? String(magnitude) : magnitude.toPrecision(Math.max(1, field.precision)))
    .replace("+", "");
}

function describe(value: unknown): string {
  return value === null ? "null" : typeof value;
}
