import { HostTensor, type Trainer } from "@cairn-ml/cairn";

/** What a model of characters writes after `beginning`, which is as long as its context: `count` characters. */
export async function write(
  trainer: Trainer,
  alphabet: readonly string[],
  beginning: Uint8Array,
  count: number,
): Promise<string> {
  const text = [...beginning];
  for (let written = 0; written < count; written++) {
    const context = text.slice(-beginning.length);
    const output = await trainer.predict(HostTensor.from([context], [1, context.length], "u8"));
    const logits = output.toArray().slice(-alphabet.length) as Float32Array;
    text.push(draw(logits, (written * 0.618034) % 1));
  }
  return text.slice(beginning.length).map((place) => alphabet[place]).join("");
}

/** The place that `share`, from 0 to 1, falls on where each has the probability that its logit says. */
function draw(logits: Float32Array, share: number): number {
  const highest = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp(logit - highest));
  let left = share * weights.reduce((sum, weight) => sum + weight, 0);
  return Math.max(weights.findIndex((weight) => (left -= weight) < 0), 0);
}
