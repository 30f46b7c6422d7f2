/** One request, as a fault is chosen by. */
export interface FakeRequest {
  readonly index: number;
  readonly method: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  readonly body: Uint8Array;
  /** Such as `PUT log/0000000000000001`, `POST data/… ?uploads`, for messages. */
  readonly name: string;
}

/** What may happen to a request besides being answered. */
export interface FakeS3Faults {
  /** Before it has an effect: an answer in its place, or an error. */
  before?(request: FakeRequest): Response | undefined | Promise<Response | undefined>;
  /** After it had its effect: an answer in the place of the true one, or an error. */
  after?(request: FakeRequest, response: Response): Response | undefined | Promise<Response | undefined>;
}

interface StoredObject {
  readonly bytes: Uint8Array;
  readonly modifiedMs: number;
  readonly etag: string;
}

interface PendingUpload {
  readonly key: string;
  readonly initiatedMs: number;
  readonly parts: Map<number, { bytes: Uint8Array; etag: string; checksum: string | null }>;
}

/**
 * A store of objects in memory that speaks as much of S3 as the storage asks for: conditional creation, ranges,
 * uploads in pieces, lists in pages, checksums. Requests have to be signed and their bodies have to have the hash that
 * they were signed with.
 */
export class FakeS3 {
  readonly objects: Map<string, StoredObject> = new Map();
  readonly uploads: Map<string, PendingUpload> = new Map();
  readonly requests: FakeRequest[] = [];
  readonly faults: FakeS3Faults = {};
  /** Whether a name that is taken is refused. */
  isConditional = true;
  pageLength = 1000;
  nowMs: number = Date.UTC(2026, 0, 1);
  #ids = 0;

  /** As the global `fetch`, for `S3Storage.open`. */
  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    init.signal?.throwIfAborted();
    return await this.handle(new Request(url, init as RequestInit & { duplex?: string }));
  };

  async handle(incoming: Request): Promise<Response> {
    const url = new URL(incoming.url);
    const [, , ...segments] = url.pathname.split("/").map(decodeURIComponent);
    const key = segments.join("/");
    const request: FakeRequest = {
      index: this.requests.length,
      method: incoming.method,
      key,
      query: url.searchParams,
      headers: incoming.headers,
      body: new Uint8Array(await incoming.arrayBuffer()),
      name: `${incoming.method} ${key.replace(/^.*?(log|data|files|probe)\//, "$1/")}${
        url.search.slice(0, 40)
      }`,
    };
    this.requests.push(request);
    const early = await this.faults.before?.(request);
    if (early !== undefined) return early;
    const answer = await this.#answer(request);
    return await this.faults.after?.(request, answer) ?? answer;
  }

  /** Another one that holds the same. */
  copy(): FakeS3 {
    const copy = new FakeS3();
    for (const [key, object] of this.objects) copy.objects.set(key, object);
    for (const [id, upload] of this.uploads) {
      copy.uploads.set(id, { ...upload, parts: new Map(upload.parts) });
    }
    Object.assign(copy, { nowMs: this.nowMs, isConditional: this.isConditional });
    copy.#ids = this.#ids;
    return copy;
  }

  /** All keys, in order. */
  get keys(): string[] {
    return [...this.objects.keys()].sort();
  }

  async #answer(request: FakeRequest): Promise<Response> {
    const refusal = await this.#refusal(request);
    if (refusal !== undefined) return refusal;
    const { method, key, query } = request;
    if (key === "") return query.has("uploads") ? this.#listUploads(query) : this.#list(query);
    if (method === "GET") return this.#get(request);
    if (method === "PUT") return query.has("partNumber") ? this.#putPart(request) : this.#put(request);
    if (method === "POST") return query.has("uploads") ? this.#createUpload(key) : this.#complete(request);
    if (query.has("uploadId")) this.uploads.delete(query.get("uploadId") ?? "");
    else this.objects.delete(key);
    return this.#response(204, null);
  }

  async #refusal({ headers, body }: FakeRequest): Promise<Response | undefined> {
    if (!(headers.get("authorization") ?? "").startsWith("AWS4-HMAC-SHA256 Credential=")) {
      return this.error(403, "AccessDenied");
    }
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(body)));
    const hex = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    if (headers.get("x-amz-content-sha256") !== hex) return this.error(400, "XAmzContentSHA256Mismatch");
    const checksum = headers.get("x-amz-checksum-sha256");
    if (checksum !== null && checksum !== btoa(String.fromCharCode(...digest))) {
      return this.error(400, "BadDigest");
    }
    return undefined;
  }

  #get({ key, headers }: FakeRequest): Response {
    const object = this.objects.get(key);
    if (object === undefined) return this.error(404, "NoSuchKey");
    const { bytes, etag } = object;
    const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(headers.get("range") ?? "") ?? [];
    if (start === undefined) return this.#response(200, bytes, { etag });
    if (Number(start) >= bytes.byteLength) return this.error(416, "InvalidRange");
    const part = bytes.subarray(Number(start), Number(end) + 1);
    const range = `bytes ${start}-${Number(start) + part.byteLength - 1}/${bytes.byteLength}`;
    return this.#response(206, part, { etag, "content-range": range });
  }

  #put({ key, headers, body }: FakeRequest): Response {
    if (this.isConditional && headers.get("if-none-match") === "*" && this.objects.has(key)) {
      return this.error(412, "PreconditionFailed");
    }
    return this.#response(200, null, { etag: this.#store(key, body) });
  }

  #store(key: string, bytes: Uint8Array): string {
    const etag = `"${++this.#ids}"`;
    this.objects.set(key, { bytes, modifiedMs: this.nowMs, etag });
    return etag;
  }

  #createUpload(key: string): Response {
    const id = `upload-${++this.#ids}`;
    this.uploads.set(id, { key, initiatedMs: this.nowMs, parts: new Map() });
    return this.#response(200, `<R><UploadId>${id}</UploadId></R>`);
  }

  #putPart({ query, body, headers }: FakeRequest): Response {
    const upload = this.uploads.get(query.get("uploadId") ?? "");
    if (upload === undefined) return this.error(404, "NoSuchUpload");
    const etag = `"part-${++this.#ids}"`;
    const checksum = headers.get("x-amz-checksum-sha256");
    upload.parts.set(Number(query.get("partNumber")), { bytes: body, etag, checksum });
    return this.#response(200, null, {
      etag,
      ...checksum === null ? {} : { "x-amz-checksum-sha256": checksum },
    });
  }

  #complete({ query, body }: FakeRequest): Response {
    const id = query.get("uploadId") ?? "";
    const upload = this.uploads.get(id);
    if (upload === undefined) return this.error(404, "NoSuchUpload");
    const named = [...new TextDecoder().decode(body).matchAll(/<PartNumber>(\d+).*?<ETag>(.*?)<\/ETag>/g)];
    const parts = named.map(([, number, etag = ""]) => {
      const part = upload.parts.get(Number(number));
      return part?.etag === etag.replaceAll("&#34;", '"') ? part.bytes : undefined;
    });
    if (parts.length === 0 || parts.includes(undefined)) return this.error(400, "InvalidPart");
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + (part?.byteLength ?? 0), 0));
    let offset = 0;
    for (const part of parts) {
      whole.set(part ?? new Uint8Array(0), offset);
      offset += part?.byteLength ?? 0;
    }
    this.uploads.delete(id);
    return this.#response(
      200,
      `<R><ETag>${this.#store(upload.key, whole).replaceAll('"', "&quot;")}</ETag></R>`,
    );
  }

  #list(query: URLSearchParams): Response {
    const prefix = query.get("prefix") ?? "";
    const after = query.get("continuation-token") ?? query.get("start-after") ?? "";
    const found = this.keys.filter((key) => key.startsWith(prefix) && key > after);
    const page = found.slice(0, this.pageLength);
    const contents: string[] = [];
    const prefixes = new Set<string>();
    for (const key of page) {
      const end = query.has("delimiter") ? key.indexOf("/", prefix.length) : -1;
      const object = this.objects.get(key);
      if (end >= 0) prefixes.add(key.slice(0, end + 1));
      else {
        contents.push(
          `<Contents><Key>${encodeURIComponent(key)}</Key><Size>${object?.bytes.byteLength}</Size>` +
            `<LastModified>${new Date(object?.modifiedMs ?? 0).toISOString()}</LastModified>` +
            `<ETag>${object?.etag.replaceAll('"', "&quot;")}</ETag></Contents>`,
        );
      }
    }
    const common = [...prefixes].map((each) =>
      `<CommonPrefixes><Prefix>${encodeURIComponent(each)}</Prefix></CommonPrefixes>`
    );
    const more = page.length < found.length
      ? `<IsTruncated>true</IsTruncated><NextContinuationToken>${page.at(-1)}</NextContinuationToken>`
      : "<IsTruncated>false</IsTruncated>";
    return this.#response(200, `<R>${more}${contents.join("")}${common.join("")}</R>`);
  }

  #listUploads(query: URLSearchParams): Response {
    const uploads = [...this.uploads].filter(([, { key }]) => key.startsWith(query.get("prefix") ?? ""));
    const elements = uploads.map(([id, { key, initiatedMs }]) =>
      `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${
        new Date(initiatedMs).toISOString()
      }</Initiated></Upload>`
    );
    return this.#response(200, `<R><IsTruncated>false</IsTruncated>${elements.join("")}</R>`);
  }

  error(status: number, code: string): Response {
    return this.#response(
      status,
      `<Error><Code>${code}</Code><Message>as the test wants it</Message></Error>`,
    );
  }

  #response(
    status: number,
    body: Uint8Array | string | null,
    headers: Record<string, string> = {},
  ): Response {
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    const length = bytes === null ? {} : { "content-length": String(bytes.byteLength) };
    const date = new Date(this.nowMs).toUTCString();
    return new Response(bytes === null ? null : new Uint8Array(bytes), {
      status,
      headers: { date, ...length, ...headers },
    });
  }
}
