import type { S3Options } from "../../src/storage/s3/s3_options.ts";
import { type FakeRequest, FaultyS3 } from "./faulty_s3.ts";

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
export class FakeS3 extends FaultyS3 {
  readonly location = "s3://bucket/runs/a";
  readonly objects: Map<string, StoredObject> = new Map();
  readonly uploads: Map<string, PendingUpload> = new Map();
  /** Whether a name that is taken is refused. */
  isConditional = true;
  pageLength = 1000;
  nowMs: number = Date.UTC(2026, 0, 1);
  #ids = 0;

  override get connection(): S3Options {
    return {
      endpoint: "http://127.0.0.1:9",
      fetch: async (url, init) => {
        init.signal?.throwIfAborted();
        return await this.handle(new Request(url, init as RequestInit & { duplex?: string }));
      },
    };
  }

  /** Another one that holds the same. */
  override copy(): Promise<FakeS3> {
    const copy = new FakeS3();
    for (const [key, object] of this.objects) copy.objects.set(key, object);
    for (const [id, upload] of this.uploads) {
      copy.uploads.set(id, { ...upload, parts: new Map(upload.parts) });
    }
    Object.assign(copy, { nowMs: this.nowMs, isConditional: this.isConditional });
    copy.#ids = this.#ids;
    return Promise.resolve(copy);
  }

  /** All keys, in order. */
  get keys(): string[] {
    return [...this.objects.keys()].sort();
  }

  protected override answer(request: FakeRequest): Promise<Response> {
    return Promise.resolve(this.#answer(request));
  }

  #answer(request: FakeRequest): Response {
    const { method, key, query } = request;
    if (key === "") return query.has("uploads") ? this.#listUploads(query) : this.#list(query);
    if (method === "GET") return this.#get(request);
    if (method === "PUT") return query.has("partNumber") ? this.#putPart(request) : this.#put(request);
    if (method === "POST") return query.has("uploads") ? this.#createUpload(key) : this.#complete(request);
    if (query.has("uploadId")) this.uploads.delete(query.get("uploadId") ?? "");
    else this.objects.delete(key);
    return this.response(204, null);
  }

  #get({ key, headers }: FakeRequest): Response {
    const object = this.objects.get(key);
    if (object === undefined) return this.error(404, "NoSuchKey");
    const { bytes, etag } = object;
    const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(headers.get("range") ?? "") ?? [];
    if (start === undefined) return this.response(200, bytes, { etag });
    if (Number(start) >= bytes.byteLength) return this.error(416, "InvalidRange");
    const part = bytes.subarray(Number(start), Number(end) + 1);
    const range = `bytes ${start}-${Number(start) + part.byteLength - 1}/${bytes.byteLength}`;
    return this.response(206, part, { etag, "content-range": range });
  }

  #put({ key, headers, body }: FakeRequest): Response {
    if (this.isConditional && headers.get("if-none-match") === "*" && this.objects.has(key)) {
      return this.error(412, "PreconditionFailed");
    }
    return this.response(200, null, { etag: this.#store(key, body) });
  }

  #store(key: string, bytes: Uint8Array): string {
    const etag = `"${++this.#ids}"`;
    this.objects.set(key, { bytes, modifiedMs: this.nowMs, etag });
    return etag;
  }

  #createUpload(key: string): Response {
    const id = `upload-${++this.#ids}`;
    this.uploads.set(id, { key, initiatedMs: this.nowMs, parts: new Map() });
    return this.response(200, `<R><UploadId>${id}</UploadId></R>`);
  }

  #putPart({ query, body, headers }: FakeRequest): Response {
    const upload = this.uploads.get(query.get("uploadId") ?? "");
    if (upload === undefined) return this.error(404, "NoSuchUpload");
    const etag = `"part-${++this.#ids}"`;
    const checksum = headers.get("x-amz-checksum-sha256");
    upload.parts.set(Number(query.get("partNumber")), { bytes: body, etag, checksum });
    return this.response(200, null, {
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
    return this.response(
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
    return this.response(200, `<R>${more}${contents.join("")}${common.join("")}</R>`);
  }

  #listUploads(query: URLSearchParams): Response {
    const uploads = [...this.uploads].filter(([, { key }]) => key.startsWith(query.get("prefix") ?? ""));
    const elements = uploads.map(([id, { key, initiatedMs }]) =>
      `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${
        new Date(initiatedMs).toISOString()
      }</Initiated></Upload>`
    );
    return this.response(200, `<R><IsTruncated>false</IsTruncated>${elements.join("")}</R>`);
  }
}
