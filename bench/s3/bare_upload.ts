const PIECE_BYTES = 8 * 1024 * 1024;
const AT_ONCE = 4;
const HEADERS = { authorization: "AWS4-HMAC-SHA256 Credential=bare" };

/** Bytes in pieces as the storage sends them, each with the hash that it has to come with. */
export interface BareUpload {
  readonly byteLength: number;
  /** Sends all of them, four at a time, and nothing else. */
  send(): Promise<void>;
}

/** What is compared with: the same number of bytes by the same `fetch`, without a save. */
export async function bareUpload(endpoint: string, byteLength: number): Promise<BareUpload> {
  const pieces: { readonly body: Uint8Array<ArrayBuffer>; readonly hash: string }[] = [];
  for (let at = 0; at < byteLength; at += PIECE_BYTES) {
    const body = new Uint8Array(Math.min(PIECE_BYTES, byteLength - at)).fill(at >>> 20);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
    pieces.push({ body, hash: [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("") });
  }
  return {
    byteLength,
    async send() {
      const waiting = [...pieces.entries()];
      await Promise.all(Array.from({ length: AT_ONCE }, async () => {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          const [index, { body, hash }] = next;
          const headers = { ...HEADERS, "x-amz-content-sha256": hash };
          const answer = await fetch(`${endpoint}/bucket/bare/${index}`, { method: "PUT", body, headers });
          await answer.arrayBuffer();
          if (answer.status !== 200) throw new Error(`The store answers ${answer.status} to a bare piece`);
        }
      }));
    },
  };
}
