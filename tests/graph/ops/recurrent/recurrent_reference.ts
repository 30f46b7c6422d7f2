/** The cells of recurrent layers in float64, step by step, by PyTorch's formulas. It shares nothing with the library. */
export type Cell = "lstm" | "gru" | "tanh" | "relu";

export interface Sizes {
  readonly cell: Cell;
  readonly batch: number;
  readonly time: number;
  readonly hidden: number;
}

export const GATES: Readonly<Record<Cell, number>> = { lstm: 4, gru: 3, tanh: 1, relu: 1 };

/** What is kept of each step, in this order, for the way back. */
export const KEPT: Readonly<Record<Cell, readonly string[]>> = {
  lstm: ["i", "f", "g", "o", "c"],
  gru: ["r", "z", "n", "q", "before"],
  tanh: ["h"],
  relu: ["h"],
};

type Numbers = ArrayLike<number>;

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** States `[batch, time, hidden]` and what was kept `[batch, time, kept * hidden]`. */
export function runCells(
  { cell, batch, time, hidden }: Sizes,
  x: Numbers,
  weights: Numbers,
  bias: Numbers,
  firstState: Numbers,
  firstCells: Numbers | undefined,
): { states: Float64Array; kept: Float64Array } {
  const gates = GATES[cell];
  const names = KEPT[cell];
  const states = new Float64Array(batch * time * hidden);
  const kept = new Float64Array(batch * time * hidden * names.length);
  for (let row = 0; row < batch; row++) {
    let state = Array.from({ length: hidden }, (_, unit) => firstState[row * hidden + unit] ?? NaN);
    let cells = Array.from({ length: hidden }, (_, unit) => firstCells?.[row * hidden + unit] ?? NaN);
    for (let step = 0; step < time; step++) {
      const line = row * time + step;
      const [before, cellsBefore] = [state, cells];
      const product = (gate: number, unit: number): number =>
        before.reduce((sum, h, at) => sum + h * (weights[(gate * hidden + unit) * hidden + at] ?? NaN), 0);
      const given = (gate: number, unit: number): number =>
        (x[(line * gates + gate) * hidden + unit] ?? NaN) + (bias[gate * hidden + unit] ?? NaN);
      const results = before.map((h, unit): Record<string, number> => {
        const sum = (gate: number): number => given(gate, unit) + product(gate, unit);
        switch (cell) {
          case "lstm": {
            const [i, f, g, o] = [sigmoid(sum(0)), sigmoid(sum(1)), Math.tanh(sum(2)), sigmoid(sum(3))];
            const c = f * (cellsBefore[unit] ?? NaN) + i * g;
            return { i, f, g, o, c, h: o * Math.tanh(c) };
          }
          case "gru": {
            const [r, z] = [sigmoid(sum(0)), sigmoid(sum(1))];
            const q = product(2, unit) + (bias[3 * hidden + unit] ?? NaN);
            const n = Math.tanh(given(2, unit) + r * q);
            return { r, z, n, q, before: h, h: (1 - z) * n + z * h };
          }
          case "tanh":
            return { h: Math.tanh(sum(0)) };
          case "relu":
            return { h: Math.max(sum(0), 0) };
        }
      });
      state = results.map(({ h = NaN }) => h);
      cells = results.map(({ c = NaN }) => c);
      results.forEach((result, unit) => {
        states[line * hidden + unit] = result.h ?? NaN;
        names.forEach((name, at) => {
          kept[(line * names.length + at) * hidden + unit] = result[name] ?? NaN;
        });
      });
    }
  }
  return { states, kept };
}

/** The gradient of x, and what is left before the first step, from that of all states or of the last cells. */
export function runBack(
  { cell, batch, time, hidden }: Sizes,
  of: "states" | "lastCells",
  outGradient: Numbers,
  weights: Numbers,
  kept: Numbers,
  firstCells: Numbers | undefined,
): { x: Float64Array; carry: Float64Array } {
  const gates = GATES[cell];
  const names = KEPT[cell];
  const x = new Float64Array(batch * time * gates * hidden);
  const carries = new Float64Array(batch * hidden);
  for (let row = 0; row < batch; row++) {
    const keptOf = (name: string, step: number, unit: number): number =>
      kept[((row * time + step) * names.length + names.indexOf(name)) * hidden + unit] ?? NaN;
    let carry = Array.from(
      { length: hidden },
      (_, unit) => of === "lastCells" ? outGradient[row * hidden + unit] ?? NaN : 0,
    );
    // The gradients of the products of the step behind.
    let behind: number[][] = [];
    for (let step = time - 1; step >= 0; step--) {
      const line = row * time + step;
      const now: number[][] = Array.from({ length: gates }, () => []);
      const nextCarry: number[] = [];
      for (let unit = 0; unit < hidden; unit++) {
        const value = (name: string): number => keptOf(name, step, unit);
        let dh = of === "states" ? outGradient[line * hidden + unit] ?? NaN : 0;
        behind.forEach((gradients, gate) =>
          gradients.forEach((gradient, at) => {
            dh += gradient * (weights[(gate * hidden + at) * hidden + unit] ?? NaN);
          })
        );
        const left = carry[unit] ?? NaN;
        const set = (ofX: readonly number[], ofProduct: readonly number[], next: number): void => {
          ofX.forEach((gradient, gate) => x[(line * gates + gate) * hidden + unit] = gradient);
          ofProduct.forEach((gradient, gate) => now[gate]?.push(gradient));
          nextCarry.push(next);
        };
        if (cell === "lstm") {
          const [i, f, g, o, c] = [value("i"), value("f"), value("g"), value("o"), value("c")];
          const before = step > 0 ? keptOf("c", step - 1, unit) : firstCells?.[row * hidden + unit] ?? NaN;
          const u = Math.tanh(c);
          const dc = left + dh * o * (1 - u * u);
          const all = [
            dc * g * i * (1 - i),
            dc * before * f * (1 - f),
            dc * i * (1 - g * g),
            dh * u * o * (1 - o),
          ];
          set(all, all, dc * f);
        } else if (cell === "gru") {
          const [r, z, n, q, before] = [value("r"), value("z"), value("n"), value("q"), value("before")];
          dh += left;
          const dn = dh * (1 - z) * (1 - n * n);
          const [dr, dz] = [dn * q * r * (1 - r), dh * (before - n) * z * (1 - z)];
          set([dr, dz, dn], [dr, dz, dn * r], dh * z);
        } else {
          const h = value("h");
          const slope = cell === "tanh" ? 1 - h * h : h > 0 ? 1 : 0;
          set([dh * slope], [dh * slope], 0);
        }
      }
      behind = now;
      carry = nextCarry;
    }
    carries.set(carry, row * hidden);
  }
  return { x, carry: carries };
}
