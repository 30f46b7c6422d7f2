/** What to do where there is none. */
export const NO_MOTO: string;

/** A server of S3 on this machine. */
export interface Moto {
  /** Such as `http://127.0.0.1:40001`. */
  readonly endpoint: string;
  stop(): void;
}

/** Starts one; `undefined` where it cannot be had. It ends with this process at the latest. */
export function startMoto(): Promise<Moto | undefined>;
