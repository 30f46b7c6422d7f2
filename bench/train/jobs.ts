import { numberAt, numbers, samplePlaces } from "../peers/contender.mjs";

/** The product of two matrices. */
export interface MatmulJob {
  readonly kind: "matmul";
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/** Training steps of linear layers with relu between them, by Adam on the mean cross-entropy of always one batch. */
export interface MlpJob {
  readonly kind: "mlp";
  /** Of the inputs, of each layer's outputs. */
  readonly sizes: readonly number[];
  readonly batch: number;
  readonly learningRate: number;
  /** Steps of a repetition. */
  readonly steps: number;
}

/** The same of an LSTM without biases over sequences, and a linear layer behind its last state. */
export interface LstmJob {
  readonly kind: "lstm";
  readonly inputs: number;
  readonly hidden: number;
  readonly time: number;
  readonly classes: number;
  readonly batch: number;
  readonly learningRate: number;
  /** Steps of a repetition. */
  readonly steps: number;
}

/** What a parameter begins as: zeros, or `numbers` of its place in the list times a factor. */
export interface FirstValue {
  readonly shape: readonly number[];
  readonly first: "zeros" | "ones" | number;
}

/**
 * Training steps of two 3 x 3 convolutions with relu and a halving maximum each, and a linear layer, on pictures of
 * 28 x 28; otherwise as {@link MlpJob}.
 */
export interface CnnJob {
  readonly kind: "cnn";
  readonly batch: number;
  readonly learningRate: number;
  readonly steps: number;
  /** In the order in which the model has them. */
  readonly parameters: readonly FirstValue[];
}

/**
 * Training steps of a causal transformer with learned positions, norms before and relu, on the mean cross-entropy of
 * what follows each token; otherwise as {@link MlpJob}.
 */
export interface TransformerJob {
  readonly kind: "transformer";
  readonly blocks: number;
  readonly width: number;
  readonly heads: number;
  readonly context: number;
  readonly vocabulary: number;
  readonly batch: number;
  readonly learningRate: number;
  readonly steps: number;
  /** In the order in which the model has them. */
  readonly parameters: readonly FirstValue[];
  /** Which of them is compared. */
  readonly compared: number;
}

/** What trains. */
export type TrainingJob = MlpJob | LstmJob | CnnJob | TransformerJob;

export type JobSpec = MatmulJob | TrainingJob;

/** A job, and what it has to reach. */
export interface Row {
  readonly name: string;
  readonly spec: JobSpec;
  /** How many times faster than the faster peer, by the processor time of the GPU's threads. */
  readonly target: number;
  /** Who else has it; everybody unless it is said. */
  readonly peers?: readonly string[];
}

/** What the bench compares. */
export const ROWS: readonly Row[] = [
  ...[
    matmulRow("512 x 512 x 512", { m: 512, n: 512, k: 512 }),
    matmulRow("1024 x 1024 x 1024", { m: 1024, n: 1024, k: 1024 }),
    matmulRow("64 x 784 x 256, forward", { m: 64, n: 256, k: 784, transposeB: true }),
    matmulRow("its weights' gradient", { m: 256, n: 784, k: 64, transposeA: true }),
    matmulRow("its input's gradient", { m: 64, n: 784, k: 256 }),
    matmulRow("4096 x 64 x 512", { m: 4096, n: 512, k: 64 }),
    matmulRow("1024 x 128 x 512, forward", { m: 1024, n: 512, k: 128, transposeB: true }),
  ],
  {
    name: "step of 784-256-128-10, batch 64",
    spec: { kind: "mlp", sizes: [784, 256, 128, 10], batch: 64, learningRate: 1e-3, steps: 20 },
    target: 3,
  },
  {
    name: "step of 784-1024-1024-10, batch 256",
    spec: { kind: "mlp", sizes: [784, 1024, 1024, 10], batch: 256, learningRate: 1e-3, steps: 3 },
    target: 2.5,
  },
  {
    name: "step of an LSTM, 128 of 64 in 64 steps, batch 32",
    spec: {
      kind: "lstm",
      inputs: 64,
      hidden: 128,
      time: 64,
      classes: 10,
      batch: 32,
      learningRate: 1e-3,
      steps: 2,
    },
    target: 2.5,
    peers: ["tfjs"],
  },
  {
    name: "step of 2 convolutions, 28 x 28, batch 64",
    spec: { kind: "cnn", batch: 64, learningRate: 1e-3, steps: 3, parameters: cnnParameters() },
    target: 2.5,
  },
  {
    name: "step of a transformer, 4 of 128, context 128, batch 8",
    spec: transformerJob({
      blocks: 4,
      width: 128,
      heads: 4,
      context: 128,
      vocabulary: 64,
      batch: 8,
      steps: 2,
    }),
    target: 2.5,
  },
];

/** A weight `[outputs, …]`, about as large as a linear layer begins with, and its bias. */
function weightAndBias(...shape: readonly [outputs: number, ...inputs: number[]]): FirstValue[] {
  const [outputs, ...inputs] = shape;
  const first = 2 / Math.sqrt(inputs.reduce((product, size) => product * size, 1));
  return [{ shape, first }, { shape: [outputs], first: "zeros" }];
}

function cnnParameters(): FirstValue[] {
  return [
    ...weightAndBias(16, 1, 3, 3),
    ...weightAndBias(32, 16, 3, 3),
    ...weightAndBias(10, 32 * 7 * 7),
  ];
}

type TransformerSizes = Omit<TransformerJob, "kind" | "parameters" | "compared" | "learningRate">;

function transformerJob(sizes: TransformerSizes): TransformerJob {
  const { blocks, width, context, vocabulary } = sizes;
  const norm: FirstValue[] = [{ shape: [width], first: "ones" }, { shape: [width], first: "zeros" }];
  const linear = (inputs: number, outputs: number) => weightAndBias(outputs, inputs);
  const block = [
    ...norm,
    ...Array.from({ length: 4 }, () => linear(width, width)).flat(),
    ...norm,
    ...linear(width, 4 * width),
    ...linear(4 * width, width),
  ];
  const table = [vocabulary, context].map((rows): FirstValue => ({ shape: [rows, width], first: 1 }));
  return {
    kind: "transformer",
    ...sizes,
    learningRate: 1e-3,
    parameters: [
      ...table,
      ...Array.from({ length: blocks }, () => block).flat(),
      ...norm,
      ...linear(width, vocabulary),
    ],
    // Of the first block's queries: its gradient has come through everything behind.
    compared: 4,
  };
}

function matmulRow(name: string, sizes: Partial<MatmulJob> & Pick<MatmulJob, "m" | "n" | "k">): Row {
  const spec: MatmulJob = { kind: "matmul", transposeA: false, transposeB: false, ...sizes };
  return { name: `matmul ${name}`, spec, target: 2.5 };
}

/** The compared elements of a product, in float64. */
export function expectedOf({ m, n, k, transposeA, transposeB }: MatmulJob): number[] {
  const [a, b] = [numbers(m * k, 1), numbers(k * n, 2)];
  return samplePlaces(m * n).map((place) => {
    const [row, column] = [Math.floor(place / n), place % n];
    let total = 0;
    for (let p = 0; p < k; p++) {
      const left = a[transposeA ? p * m + row : row * k + p] ?? NaN;
      total += left * (b[transposeB ? column * k + p : p * n + column] ?? NaN);
    }
    return total;
  });
}

/** The first weights of layer `index`, `[outputs, inputs]`. */
export function firstWeights(index: number, inputs: number, outputs: number): Float32Array {
  const scale = 2 / Math.sqrt(inputs);
  return Float32Array.from({ length: inputs * outputs }, (_, place) => numberAt(index, place) * scale);
}
