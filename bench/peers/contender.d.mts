/** Something that is timed. */
export interface Job {
  run(repetitions: number): Promise<void>;
  results(): Promise<number[]>;
}

export function numberAt(seed: number, index: number): number;
export function numbers(count: number, seed: number): Float32Array<ArrayBuffer>;
export function samplePlaces(count: number): number[];
export function otherThreadsMs(): number | undefined;
export function provideWebGpu(provider: string | undefined): Promise<void>;
export function serve<Spec>(prepare: (job: Spec) => Promise<Job>): Promise<void>;
