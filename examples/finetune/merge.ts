import { HostTensor } from "@cairn-ml/cairn";

/** A weight with what `nn.lora` has added to it: `weight + alpha / rank * B A`, so that it is one layer again. */
export function merged(weight: HostTensor, a: HostTensor, b: HostTensor, alpha: number): HostTensor {
  const [rank = 1, inputs = 0] = a.shape;
  const [w, low, high] = [weight, a, b].map((tensor) => tensor.toArray() as Float32Array);
  const sums = Float32Array.from(w ?? [], (start, at) => {
    const [output, input] = [Math.floor(at / inputs), at % inputs];
    let sum = 0;
    for (let k = 0; k < rank; k++) {
      sum += (high?.[output * rank + k] ?? NaN) * (low?.[k * inputs + input] ?? NaN);
    }
    return start + (alpha / rank) * sum;
  });
  return HostTensor.from(sums, weight.shape);
}
