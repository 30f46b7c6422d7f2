import { throwIfAborted } from "../../base/abort.ts";
import type { StreamedTensors } from "../../checkpoint/capture/streamed_tensors.ts";
import type { ProcessGroup } from "../../checkpoint/ranks/process_group.ts";
import type { TensorSpec } from "../../container/format/layout.ts";
import type { ByteSink } from "../../container/source.ts";
import type { Run } from "../loop/run.ts";
import { countPieces, MomentPieces } from "./kept_moments.ts";

const NOTHING = new Uint8Array();
/** What rank 0 says when it takes a piece. */
const GOES_ON = 1;

/**
 * On rank 0: does `save`, which writes what the other ranks keep of the optimiser as they send it. They call
 * {@link sendMoments} at the same step.
 */
export async function savingMoments<T>(
  run: Run,
  group: ProcessGroup,
  save: (others: StreamedTensors) => Promise<T>,
): Promise<T> {
  const others = new MomentsOfOthers(run, group);
  try {
    return await save(others);
  } finally {
    await others.end();
  }
}

/** On the other ranks: sends what they keep of the optimiser, as long as rank 0 takes it. */
export async function sendMoments(run: Run, group: ProcessGroup): Promise<void> {
  await new MomentsOfOthers(run, group).send();
}

/**
 * The optimiser's tensors that are on other ranks than the first, which writes them to a checkpoint: one after the
 * other, in pieces. With each piece that rank 0 gets, it says whether it is going to take more.
 */
class MomentsOfOthers implements StreamedTensors {
  readonly tensors: readonly TensorSpec[];
  readonly #run: Run;
  readonly #group: ProcessGroup;
  /** Which rank sends which of its pieces. */
  readonly #rounds: readonly { readonly rank: number; readonly index: number }[];
  #next = 0;

  constructor(run: Run, group: ProcessGroup) {
    this.#run = run;
    this.#group = group;
    const ofRanks = Array.from(
      { length: group.size - 1 },
      (_, index) => run.steps.rules.momentsOf(run.model.group, index + 1),
    );
    this.tensors = ofRanks.flat();
    this.#rounds = ofRanks.flatMap((specs, before) =>
      Array.from({ length: countPieces(specs) }, (_, index) => ({ rank: before + 1, index }))
    );
  }

  /** On rank 0. Once, as the others go on then. */
  async writeTo(
    sink: ByteSink,
    signal: AbortSignal | undefined,
    onRead: (byteLength: number) => void,
  ): Promise<void> {
    for (const { rank } of this.#rounds) {
      throwIfAborted(signal);
      const bytes = await this.#take(rank, true);
      onRead(bytes.byteLength);
      await sink.write(bytes);
    }
  }

  /** On rank 0: lets the others go on, whether all was taken or not. */
  async end(): Promise<void> {
    const round = this.#rounds[this.#next];
    if (round !== undefined) await this.#take(round.rank, false);
  }

  /** On the other ranks. */
  async send(): Promise<void> {
    const { store, slots } = this.#run;
    const own = new MomentPieces(store, slots);
    const pieces: Uint8Array[] = Array.from({ length: this.#group.size }, () => NOTHING);
    for (const { rank, index } of this.#rounds) {
      const piece = rank === this.#group.rank ? await own.read(index) : NOTHING;
      const [said = NOTHING] = await this.#group.allToAll(pieces.with(0, piece));
      if (said[0] !== GOES_ON) return;
    }
  }

  async #take(rank: number, goesOn: boolean): Promise<Uint8Array> {
    this.#next++;
    const word = Uint8Array.of(goesOn ? GOES_ON : 0);
    const words = Array.from({ length: this.#group.size }, (_, to) => to === 0 ? NOTHING : word);
    return (await this.#group.allToAll(words))[rank] ?? NOTHING;
  }
}
