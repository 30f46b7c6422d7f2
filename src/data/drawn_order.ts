import { KeyedWords } from "./keyed_words.ts";
import type { Seed } from "./seed.ts";

/** Keeps the words of orders apart from those of other uses of the same seed: "orde". */
const ORDERS = 0x6f72_6465;

/**
 * One of the `length!` orders of `0 … length - 1`, each as likely as any other: a number below `length!` is drawn,
 * digit by digit in the factorial number system and each digit without bias, and unranked (Fisher and Yates, in the
 * form of Durstenfeld).
 */
export function drawOrder(length: number, seed: Seed, epoch: number): Uint32Array {
  const words = new KeyedWords(seed, [epoch >>> 0, Math.floor(epoch / 2 ** 32), ORDERS]);
  const order = Uint32Array.from({ length }, (_, index) => index);
  for (let last = length - 1; last > 0; last--) {
    const chosen = words.below(last + 1);
    const element = order[chosen] ?? 0;
    order[chosen] = order[last] ?? 0;
    order[last] = element;
  }
  return order;
}
