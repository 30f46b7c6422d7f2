const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Bytes as people read them, with three digits: `1.21 MiB`. */
export function formatBytes(bytes: number): string {
  let unit = 0;
  let value = bytes;
  while (value >= 1023.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : shortest(value)} ${BYTE_UNITS[unit]}`;
}

function shortest(value: number): string {
  return value >= 99.95 ? value.toFixed(0) : value.toPrecision(3);
}

/** A whole number with commas. */
export function formatCount(count: number): string {
  return count.toLocaleString("en");
}

/** A measured number in a few digits, in whichever way is short: `0.0123`, `1.23e-7`, `NaN`. */
export function formatNumber(value: number, digits = 4): string {
  if (!Number.isFinite(value)) return String(value).replace("-", "−").replace("Infinity", "∞");
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e7) return value.toLocaleString("en").replace("-", "−");
  const text = size >= 1e-3 && size < 1e7 ? shortened(value, digits) : shortExponent(value, digits);
  return text.replaceAll("-", "−");
}

function shortened(value: number, digits: number): string {
  const text = value.toPrecision(digits);
  return text.includes("e") ? Math.round(value).toLocaleString("en") : text.replace(/\.?0+$/, "");
}

function shortExponent(value: number, digits: number): string {
  return value.toExponential(digits - 1).replace(/\.?0+e/, "e").replace("e+", "e");
}

/** `128 × 784`, or `scalar`. */
export function formatShape(shape: readonly number[]): string {
  return shape.length === 0 ? "scalar" : shape.join(" × ");
}

/** A part of a whole in percent, which is 0 or 100 only where it is. */
export function formatShare(part: number, whole: number): string {
  if (part === 0 || whole === 0) return "0 %";
  if (part === whole) return "100 %";
  const percent = 100 * part / whole;
  if (percent < 0.01) return "< 0.01 %";
  return percent > 99.99 ? "> 99.99 %" : `${Number(percent.toPrecision(3))} %`;
}
