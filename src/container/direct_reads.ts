/** Work that was begun, and what is to be done when it is its turn to have ended. */
interface ReadUnderWay {
  readonly read: Promise<void>;
  readonly onRead: () => void;
}

// One is read while another is summed up. More only wait for each other.
const MAX_UNDER_WAY = 2;

/** Reads straight to where bytes are wanted, of which the next begins while the one before is still being checked. */
export class DirectReads {
  readonly #queue: ReadUnderWay[] = [];

  /** Takes a read that has begun. `onRead` is called in order. Rejects where one before it does. */
  async add(read: Promise<void>, onRead: () => void): Promise<void> {
    // It is thrown when its turn comes, which may be never.
    read.catch(() => {});
    this.#queue.push({ read, onRead });
    await this.#downTo(MAX_UNDER_WAY - 1);
  }

  /** Waits for all of them. */
  async finish(): Promise<void> {
    await this.#downTo(0);
  }

  /** Waits until nothing is read any more, whatever came of it: the memory is the caller's again. */
  async abandon(): Promise<void> {
    await Promise.allSettled(this.#queue.splice(0).map(({ read }) => read));
  }

  async #downTo(count: number): Promise<void> {
    while (this.#queue.length > count) {
      const { read, onRead } = this.#queue[0] as ReadUnderWay;
      await read;
      this.#queue.shift();
      onRead();
    }
  }
}
