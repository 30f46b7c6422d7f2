/** What a log has of a step. */
export interface StepEntry {
  readonly kind: "step";
  /** Steps done: 1 for the first. */
  readonly step: number;
  /** One f32, NaN for a batch that was skipped. */
  readonly loss: number;
  /** The learning rate that the step had; undefined where the optimiser does not tell. */
  readonly rate: number | undefined;
  /** Each term of the loss, each regulariser, and `gradient_norm` where it is measured. */
  readonly terms: Readonly<Record<string, number>>;
}

/** What an epoch, or a validation within one, measured. */
export interface MeasuredEntry {
  readonly kind: "epoch" | "validation";
  readonly step: number;
  /** 1-based. */
  readonly epoch: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** A checkpoint that became durable. */
export interface SaveEntry {
  readonly kind: "save";
  /** The step that it is of. */
  readonly step: number;
  readonly tag: string;
  /** How long training waited for it. */
  readonly stallMs: number;
  /** From the request until it was durable. */
  readonly durationMs: number;
  /** Of its file. */
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
}

/** A training that begins, or goes on. */
export interface StartEntry {
  readonly kind: "start";
  readonly step: number;
  /** The checkpoint that it goes on from; empty where the run is as it was left. */
  readonly resumedFrom: string;
  readonly totalSteps: number;
  readonly totalEpochs: number;
  readonly timeMs: number;
}

/** A training that has ended. */
export interface EndEntry {
  readonly kind: "end";
  readonly step: number;
  /** As the report says it, or `error`. */
  readonly endedBy: string;
  readonly timeMs: number;
}

/** One thing that a log says. */
export type LogEntry = StepEntry | MeasuredEntry | SaveEntry | StartEntry | EndEntry;

/** Of a {@link LogEntry}: what of it is looked at when a run goes on. */
export interface KnownEntry {
  readonly kind: string;
  readonly step: number;
  /** Of a step: what tells the log of this run from that of another. */
  readonly loss?: number | undefined;
}
