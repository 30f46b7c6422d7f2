import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "bun:test";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const src = join(root, "src");

const KERNELS = [
  "kernels",
  "kernels/attention",
  "kernels/conv",
  "kernels/elementwise",
  "kernels/loss",
  "kernels/matmul",
  "kernels/norm",
  "kernels/optimizer",
  "kernels/pool",
  "kernels/indexing",
  "kernels/random",
  "kernels/recurrent",
  "kernels/reduce",
  "kernels/softmax",
  "kernels/sort",
];
const CONTAINER = ["container", "container/codec", "container/format", "container/read", "container/write"];

const BEFORE_CHECKPOINT = ["base", ...CONTAINER, "storage", "gpu", "tensor", "gpu_codec"];
const UP_TO_ENGINE = ["checkpoint/capture", "checkpoint/restore", "checkpoint/file", "checkpoint/engine"];

const BEFORE_TRAIN = [
  ...BEFORE_CHECKPOINT,
  ...KERNELS,
  "graph",
  "nn",
  "nn/losses",
  "nn/metrics",
  "nn/optim",
  ...UP_TO_ENGINE,
  "checkpoint/keep",
  "checkpoint/ranks",
  "checkpoint",
  "parallel",
  "data",
];

/**
 * What each folder of src may import from, besides itself. A name stands for the folder and those inside of it that
 * have no line of their own. A folder has a line as soon as its neighbours inside of the room may not import it
 * freely.
 */
const MAY_IMPORT: Record<string, readonly string[]> = {
  base: [],
  container: ["base"],
  // The table knows the codecs, and a codec what they share; no codec knows another one.
  "container/codec": [
    "base",
    "container/codec/planes",
    "container/codec/levels",
    "container/codec/deflate",
    "container/codec/zstd",
  ],
  "container/codec/planes": ["base", "container/codec"],
  "container/codec/levels": ["base", "container/codec"],
  "container/codec/deflate": ["base", "container/codec"],
  "container/codec/zstd": ["base", "container/codec"],
  "container/format": ["base", "container", "container/codec"],
  "container/read": ["base", "container", "container/codec", "container/format"],
  "container/write": ["base", "container", "container/codec", "container/format", "container/read"],
  storage: ["base", "storage/s3"],
  // Loaded when it is first asked for: nobody else pays for it.
  "storage/s3": ["base", "storage"],
  gpu: ["base"],
  tensor: ["base", "container/format", "gpu"],
  kernels: ["base", "gpu", "tensor"],
  "kernels/attention": ["base", "gpu", "kernels", "kernels/elementwise", "kernels/matmul", "kernels/random"],
  "kernels/conv": ["base", "gpu", "kernels", "kernels/matmul"],
  "kernels/elementwise": ["base", "gpu", "kernels"],
  "kernels/loss": ["base", "gpu", "kernels", "kernels/elementwise"],
  "kernels/matmul": ["base", "gpu", "kernels", "kernels/elementwise"],
  "kernels/norm": ["base", "gpu", "kernels", "kernels/elementwise", "kernels/reduce"],
  "kernels/optimizer": ["base", "gpu", "kernels"],
  "kernels/pool": ["base", "gpu", "kernels"],
  "kernels/random": ["base", "gpu", "kernels"],
  "kernels/sort": ["base", "gpu", "kernels", "kernels/elementwise"],
  "kernels/indexing": ["base", "gpu", "kernels", "kernels/elementwise", "kernels/reduce", "kernels/sort"],
  "kernels/softmax": ["base", "gpu", "kernels"],
  "kernels/recurrent": ["base", "gpu", "kernels", "kernels/elementwise", "kernels/matmul"],
  "kernels/reduce": ["base", "gpu", "kernels", "kernels/elementwise"],
  gpu_codec: ["base", "container/format", "container/codec", "gpu", "tensor"],
  graph: ["base", "gpu", "tensor", ...KERNELS],
  nn: ["base", "tensor", "graph", "nn/layers", "nn/losses", "nn/metrics", "gpu"],
  "nn/layers": ["base", "tensor", "graph", "nn"],
  "nn/losses": ["base", "tensor", "graph", "nn"],
  "nn/metrics": ["base", "tensor", "graph", "nn", "nn/losses"],
  "nn/optim": ["base", "gpu", "tensor", ...KERNELS, "graph", "nn"],
  // Nothing imports compat. Exchange reaches only two rooms of checkpoint.
  "checkpoint/capture": ["base", ...CONTAINER, "gpu", "tensor", "gpu_codec"],
  "checkpoint/restore": ["base", ...CONTAINER, "gpu", "tensor", "gpu_codec", "checkpoint/capture"],
  "checkpoint/file": [...BEFORE_CHECKPOINT, "checkpoint/capture", "checkpoint/restore"],
  "checkpoint/engine": [...BEFORE_CHECKPOINT, "checkpoint/capture", "checkpoint/restore", "checkpoint/file"],
  "checkpoint/keep": [...BEFORE_CHECKPOINT, ...UP_TO_ENGINE],
  "checkpoint/compose": [...BEFORE_CHECKPOINT, ...UP_TO_ENGINE, "checkpoint/keep"],
  "checkpoint/ranks": [...BEFORE_CHECKPOINT, ...UP_TO_ENGINE, "checkpoint/ranks/over_directory"],
  // Messages as files. Code for ranks uses a `ProcessGroup`, and that knows no engine.
  "checkpoint/ranks/over_directory": ["base", ...CONTAINER, "storage", "checkpoint/file", "checkpoint/ranks"],
  checkpoint: [
    ...BEFORE_CHECKPOINT,
    ...UP_TO_ENGINE,
    "checkpoint/keep",
    "checkpoint/compose",
    "checkpoint/ranks",
  ],
  "checkpoint/compat": [
    ...BEFORE_CHECKPOINT,
    ...UP_TO_ENGINE,
    "checkpoint/keep",
    "checkpoint/compose",
    "checkpoint/ranks",
    "checkpoint",
    "exchange",
    "exchange/safetensors",
  ],
  exchange: [
    ...BEFORE_CHECKPOINT,
    "checkpoint/file",
    "checkpoint/restore",
    "exchange/safetensors",
    "exchange/numpy",
    "exchange/torch",
    "exchange/zip",
  ],
  "exchange/safetensors": [...BEFORE_CHECKPOINT, "checkpoint/file", "checkpoint/restore", "exchange"],
  "exchange/zip": ["base", ...CONTAINER, "container/codec/deflate", "exchange"],
  "exchange/numpy": ["base", ...CONTAINER, "tensor", "exchange", "exchange/zip"],
  "exchange/torch": ["base", ...CONTAINER, "tensor", "exchange", "exchange/zip", "exchange/numpy"],
  // It knows groups and memory on the GPU, and nothing of training.
  parallel: [...BEFORE_CHECKPOINT, ...KERNELS, "graph", ...UP_TO_ENGINE, "checkpoint/ranks"],
  data: ["base", "tensor", "kernels", "kernels/random", "nn"],
  // A transport for ranks: nobody imports it but its door.
  mpi: ["base", "checkpoint/ranks", "mpi/thread"],
  // What runs on the thread of MPI, sent there as text.
  "mpi/thread": ["base", "mpi"],
  generate: BEFORE_TRAIN,
  // Nothing imports what reads files: loaders are given maps, streams and rows.
  "data/files": [
    "base",
    "container",
    "storage",
    "tensor",
    "data",
    "exchange",
    "exchange/numpy",
    "exchange/safetensors",
  ],
  "train/measure": BEFORE_TRAIN,
  "train/step": [...BEFORE_TRAIN, "train/measure"],
  "train/show": ["base"],
  "train/loop": [...BEFORE_TRAIN, "generate", "train/show", "train/measure", "train/step"],
  "train/saves": [...BEFORE_TRAIN, "train/loop"],
  "train/past": [...BEFORE_TRAIN, "train/loop", "train/saves"],
  "train/callbacks": [...BEFORE_TRAIN, "train/step", "train/loop", "train/saves"],
  "train/ranks": [...BEFORE_TRAIN, "train/loop"],
  "train/log": ["base", "storage", "train/show", "train/loop", "train/saves", "train/callbacks"],
  train: [
    ...BEFORE_TRAIN,
    "generate",
    "train/show",
    "train/measure",
    "train/step",
    "train/loop",
    "train/saves",
    "train/past",
    "train/callbacks",
    "train/log",
    "train/ranks",
  ],
};
MAY_IMPORT.predict = [
  ...BEFORE_TRAIN,
  "generate",
  "train/measure",
  "exchange/safetensors",
  "checkpoint/file",
];
// The doors only export, and nothing imports them.
const BEFORE_DOORS = Object.keys(MAY_IMPORT);
MAY_IMPORT.doors = BEFORE_DOORS;
// What a person uses comes last: the page, and the command, which serves it.
Object.assign(MAY_IMPORT, {
  page: ["base"],
  "page/server": ["base", "storage", "checkpoint/file", "page"],
  // What runs in a browser: it reads, and does not train.
  "page/app": [
    ...BEFORE_CHECKPOINT,
    "checkpoint/capture",
    "checkpoint/restore",
    "checkpoint/file",
    "exchange",
    "exchange/safetensors",
    "page",
  ],
  cli: [...BEFORE_DOORS, "page", "page/server"],
});

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? sourceFiles(path) : entry.name.endsWith(".ts") ? [path] : [];
  });
}

/** Files that a tool makes of others. */
const MADE = ["planes_wasm.ts", "page_gzip.ts"];

const files = sourceFiles(src).map((path) => ({
  path: relative(root, path),
  text: readFileSync(path, "utf8"),
}));

/** What a module imports: at its top, and when it is needed. */
function specifiers(text: string): string[] {
  const atTop = /^\s*(?:import|export)\b[^;]*?\bfrom\s+"([^"]+)"|^\s*import\s+"([^"]+)"/gm;
  const whenNeeded = /\bimport\("(\.[^"]+)"\)/g;
  return [...text.matchAll(atTop), ...text.matchAll(whenNeeded)].map(([, from, bare]) => from ?? bare ?? "");
}

/**
 * The line of {@link MAY_IMPORT} that a file of src stands under: that of its folder, or of the nearest one around
 * it.
 */
function roomOf(path: string): string {
  const folders = path.split(sep).slice(1, -1);
  while (folders.length > 1 && !(folders.join("/") in MAY_IMPORT)) folders.pop();
  return folders.join("/");
}

/** Comments and strings of WGSL may say anything; code may not. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
}

function filesThat(matches: (text: string) => boolean): string[] {
  return files.filter(({ text }) => matches(text)).map(({ path }) => path);
}

describe("layering", () => {
  test("every folder of src is a known room", () => {
    const rooms = readdirSync(src, { withFileTypes: true });
    expect(rooms.filter((entry) => !entry.isDirectory()).map((entry) => entry.name)).toEqual([]);
    expect(rooms.map((entry) => entry.name).filter((room) => !(room in MAY_IMPORT))).toEqual([]);
    expect(files.length).toBeGreaterThan(50);
  });

  test("a room imports only from the rooms before it", () => {
    const wrong: string[] = [];
    for (const { path, text } of files) {
      const room = roomOf(path);
      for (const specifier of specifiers(text).filter((s) => s.startsWith("."))) {
        const target = relative(root, resolve(root, dirname(path), specifier));
        const targetRoom = roomOf(target);
        if (targetRoom !== room && !MAY_IMPORT[room]?.includes(targetRoom)) {
          wrong.push(`${path} -> ${target}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  test("there are no circles of imports, those of types included", () => {
    const edges = new Map(files.map(({ path, text }) => [
      path,
      specifiers(text).filter((s) => s.startsWith(".")).map((s) =>
        relative(root, resolve(root, dirname(path), s))
      ),
    ]));
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) circles.push([...trail.slice(trail.indexOf(path)), path].join(" -> "));
      else if (!done.has(path)) { for (const next of edges.get(path) ?? []) visit(next, [...trail, path]); }
      done.add(path);
    };
    for (const path of edges.keys()) visit(path, []);
    expect(circles).toEqual([]);
  });

  test("a newcomer can read a folder's list and a file: at most 25 files in one, and 400 lines in the other", () => {
    const perFolder = Map.groupBy(files, ({ path }) => dirname(path));
    expect([...perFolder].filter(([, inside]) => inside.length > 25).map(([folder]) => folder)).toEqual([]);
    const long = files.filter(({ path, text }) =>
      text.split("\n").length > 401 && !MADE.some((made) => path.endsWith(made))
    );
    expect(long.map(({ path }) => path)).toEqual([]);
  });

  test("no line of a comment or of documentation is longer than 120 characters", () => {
    const pages = [".", "docs"].flatMap((folder) =>
      readdirSync(join(root, folder)).filter((name) => name.endsWith(".md")).map((name) => join(folder, name))
    ).map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
    // A row of a table cannot be broken.
    const longIn = ({ path, text }: { path: string; text: string }, isProse: (line: string) => boolean) =>
      text.split("\n").flatMap((line, index) =>
        line.length > 120 && isProse(line) ? [`${path}:${index + 1}`] : []
      );
    expect([
      ...files.flatMap((file) => longIn(file, (line) => /^\s*(\*|\/\/|\/\*)/.test(line))),
      ...pages.flatMap((page) => longIn(page, (line) => !line.startsWith("|"))),
    ]).toEqual([]);
  });

  test("src imports only the runtime dependencies, and no node: module statically", () => {
    // Of zod only what is small in a bundle.
    const allowed = ["fflate", "fzstd", "zod/mini"];
    const elsewhere: Readonly<Record<string, string>> = {
      citty: "cli",
      "@observablehq/plot": "page/app",
      papaparse: "data/files",
      aws4fetch: "storage/s3",
    };
    const isAllowed = (path: string, name: string): boolean =>
      name.startsWith(".") || allowed.includes(name) || elsewhere[name] === roomOf(path);
    const wrong = files.flatMap(({ path, text }) =>
      specifiers(withoutComments(text)).filter((name) => !isAllowed(path, name)).map((name) =>
        `${path}: ${name}`
      )
    );
    expect(wrong).toEqual([]);
  });

  test("src never writes to the console", () => {
    expect(filesThat((text) => /\bconsole\s*\./.test(withoutComments(text)))).toEqual([]);
  });

  test("src never makes markup, a script or an address of text", () => {
    const makers =
      /\.(innerHTML|outerHTML|srcdoc)\b|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|setHTML|\beval\(|new Function\(|createElement\("(script|iframe)/;
    expect(filesThat((text) => makers.test(withoutComments(text)))).toEqual([]);
  });

  test("there are no barrels inside src", () => {
    expect(files.map(({ path }) => path).filter((path) => path.endsWith("index.ts"))).toEqual([]);
  });

  test("one file checks values by schemas, so that all of them are refused in words", () => {
    expect(filesThat((text) => /\.safeParse\(/.test(withoutComments(text)))).toEqual([
      join("src", "base", "schema", "safe_parse.ts"),
    ]);
  });

  test("one file parses JSON", () => {
    expect(filesThat((text) => /\bJSON\.parse\(/.test(withoutComments(text)))).toEqual([
      join("src", "base", "canonical_json.ts"),
    ]);
  });

  test("one file calls rename and unlink, and two call fsync: on this thread, and on the one that writes", () => {
    const names = /\b(rename|unlink)(Sync)?\(/;
    expect(filesThat((text) => names.test(withoutComments(text)))).toEqual([
      join("src", "storage", "file_storage.ts"),
    ]);
    const syncs = /\b(fsync|fdatasync|datasync)(Sync)?\(/;
    expect(filesThat((text) => syncs.test(withoutComments(text))).sort()).toEqual([
      join("src", "storage", "open_file.ts"),
      join("src", "storage", "write_thread.ts"),
    ]);
  });

  // A file system and a store of objects have no step in common: a rename whose directory is synced, and a name that
  // is created only where it is free.
  test("there is exactly one commit point in files, and one in a store of objects", () => {
    const lines = files.flatMap(({ path, text }) =>
      text.split("\n").filter((line) => line.includes("// COMMIT POINT")).map(() => path)
    );
    expect(lines.sort()).toEqual([
      join("src", "storage", "durable_file.ts"),
      join("src", "storage", "s3", "s3_log.ts"),
    ]);
  });

  test("only the gpu room names WebGPU's entry points", () => {
    const entry = /navigator\.gpu|requestAdapter\(|requestDevice\(|createComputePipeline|\.createBuffer\(\{/;
    expect(filesThat((text) => entry.test(withoutComments(text))).filter((path) => roomOf(path) !== "gpu"))
      .toEqual([]);
  });

  test("no any, no non-null assertion of a call, no double cast", () => {
    const loose = /: any\b|<any>|\bas any\b|as unknown as|@ts-ignore|@ts-expect-error/;
    expect(filesThat((text) => loose.test(withoutComments(text)))).toEqual([]);
  });
});
