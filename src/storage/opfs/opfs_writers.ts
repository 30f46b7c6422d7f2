import { hostError } from "../host_error.ts";

/** A file that the worker has open. */
export interface OpfsWriter {
  write(bytes: Uint8Array): Promise<number>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

interface Answer {
  readonly id: number;
  readonly result?: number;
  readonly error?: { readonly name: string; readonly message: string };
}

/**
 * What the worker runs: only there a browser lets a file be flushed. It is text, so that a bundle needs no second file.
 * Each file is written by one handle, which locks it.
 */
const WORKER = `
const files = new Map();
async function create(file, segments) {
  let folder = await navigator.storage.getDirectory();
  for (const segment of segments.slice(0, -1)) folder = await folder.getDirectoryHandle(segment);
  const handle = await folder.getFileHandle(segments.at(-1), { create: true });
  files.set(file, { access: await handle.createSyncAccessHandle(), at: 0 });
}
async function work({ op, file, segments, bytes }) {
  if (op === "create") return await create(file, segments);
  const open = files.get(file);
  if (op === "flush") return open.access.flush();
  if (op === "close") {
    files.delete(file);
    return open.access.close();
  }
  const taken = open.access.write(bytes, { at: open.at });
  open.at += taken;
  return taken;
}
onmessage = async ({ data }) => {
  try {
    postMessage({ id: data.id, result: await work(data) });
  } catch ({ name, message }) {
    postMessage({ id: data.id, error: { name, message } });
  }
};`;

/** The worker that writes the files of a storage, begun with the first of them. */
export class OpfsWriters {
  #worker: Worker | undefined;
  #asked = 0;
  readonly #waiting = new Map<number, { resolve(result: number): void; reject(error: unknown): void }>();

  /** Creates a file, or empties none: the caller has looked that there is none. */
  async create(segments: readonly string[]): Promise<OpfsWriter> {
    const file = this.#asked;
    await this.#ask({ op: "create", file, segments });
    let isOpen = true;
    const ask = (op: string, bytes?: Uint8Array): Promise<number> =>
      isOpen ? this.#ask({ op, file, bytes }) : Promise.reject(hostError("EBADF"));
    return {
      write: (bytes) => ask("write", bytes),
      flush: async () => void await ask("flush"),
      close: async () => {
        const closing = ask("close");
        isOpen = false;
        await closing;
      },
    };
  }

  #ask(request: object): Promise<number> {
    const id = this.#asked++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#started().postMessage({ ...request, id });
    });
  }

  #started(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const url = URL.createObjectURL(new Blob([WORKER], { type: "text/javascript" }));
    const worker = new Worker(url);
    worker.onmessage = ({ data }: MessageEvent<Answer>) => this.#answered(data);
    worker.onerror = () => {
      const error = new Error(
        "the worker that writes could not run; a page's policy has to allow worker-src blob:",
      );
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
      this.#worker = undefined;
    };
    return this.#worker = worker;
  }

  #answered({ id, result = 0, error }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new DOMException(error.message, error.name));
  }
}
