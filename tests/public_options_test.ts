import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "bun:test";
import { memoryEngine } from "./checkpoint/fixtures.ts";
import * as cairn from "./helpers/all_doors.ts";
import { thrownBy } from "./helpers/thrown.ts";
import { servePage } from "../src/page/server/serve_page.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const { keep: rules, nn, ops, optim } = cairn;

/**
 * Interfaces of options that no public function takes: what is inside passes them on, and the compiler checks their
 * names. One that a user writes belongs into {@link CALLS} instead.
 */
const INSIDE: readonly string[] = [
  "AcquireOptions",
  "ChunkEncoderOptions",
  "CommitOptions",
  "DurableFileOptions",
  "EvictOptions",
  "MomentOptions",
  "RunDirectoryOptions",
  "SessionOptions",
  "ReadbackOptions",
  "ReadbackStreamOptions",
  "RemoveDurablyOptions",
  "SplitOptions",
  "PageHandlerOptions",
  "PrepareOptions",
  "StrictJsonOptions",
  "TensorPlanOptions",
  "WatchOptions",
  "WriteCheckpointOptions",
  "WritePartOptions",
  // Parts of others, which list their names.
  "ExampleOrderOptions",
  "HttpRequestOptions",
];
/** Rooms whose functions nobody outside can call. */
const INSIDE_ROOMS = ["kernels", "gpu_codec"];

/** What a test hands over where the options are looked at before anything else. */
function nothing<T>(): T {
  return {} as unknown as T;
}

/** A method whose options are looked at before its object is. */
function detached<T>(method: (...parameters: never[]) => T, ...before: unknown[]): (wrong: never) => T {
  return (wrong) => Reflect.apply(method, {}, [...before, wrong]) as T;
}

const value = ops.input("x", "f32", [2, 2]);
const indices = ops.input("i", "u32", [2, 2]);
const series = ops.input("series", "f32", [1, 1, 1]);
const image = ops.input("image", "f32", [1, 1, 1, 1]);
const dataset = { inputs: cairn.HostTensor.from([[1], [2]]), labels: cairn.HostTensor.from([1, 2]) };
const sink = new cairn.BytesSink();

async function onCheckpoint<T>(use: (checkpoint: cairn.Checkpoint) => Promise<T>): Promise<T> {
  const engine = await memoryEngine();
  await engine.create("a");
  await engine.save({ state: { epoch: 1, weights: new Float32Array(4) } });
  await engine.commit("a");
  const checkpoint = await engine.load("a");
  try {
    return await use(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

async function onEngine<T>(use: (engine: cairn.FileEngine) => Promise<T>): Promise<T> {
  return await use(await memoryEngine());
}

type Call = (wrong: never) => unknown;

/** For each interface of options, every public function that takes one. */
const CALLS: Readonly<Record<string, readonly Call[]>> = {
  AdadeltaOptions: [(wrong) => optim.adadelta(wrong)],
  AdagradOptions: [(wrong) => optim.adagrad(wrong)],
  AdamOptions: [(wrong) => optim.adam(wrong)],
  AdamaxOptions: [(wrong) => optim.adamax(wrong)],
  AdamWOptions: [(wrong) => optim.adamw(wrong)],
  EmaOptions: [(wrong) => optim.ema(optim.sgd({ learningRate: 1 }), wrong)],
  FromOpsOptions: [(wrong) => optim.fromOps(wrong)],
  FromWgslOptions: [(wrong) => optim.fromWgsl(wrong)],
  LambOptions: [(wrong) => optim.lamb(wrong)],
  LionOptions: [(wrong) => optim.lion(wrong)],
  MuonOptions: [(wrong) => optim.muon(wrong), (adamw) => optim.muon({ adamw })],
  RmspropOptions: [(wrong) => optim.rmsprop(wrong)],
  ScheduleFreeAdamwOptions: [(wrong) => optim.scheduleFreeAdamw(wrong)],
  SgdOptions: [(wrong) => optim.sgd(wrong)],
  OptimizerOptions: [(wrong) => optim.adamw(wrong), (wrong) => optim.sgd(wrong)],
  CosineRestartsOptions: [(wrong) => optim.cosineRestarts(1, 1, wrong)],
  OneCycleOptions: [(wrong) => optim.oneCycle(1, 1, wrong)],
  PolynomialDecayOptions: [(wrong) => optim.polynomialDecay(1, 1, wrong)],
  WarmupStableDecayOptions: [(wrong) => optim.warmupStableDecay(1, wrong)],
  LinearOptions: [(wrong) => nn.linear(2, 2, wrong)],
  Conv2dLayerOptions: [(wrong) => nn.conv2d(1, 1, 1, wrong)],
  Conv1dLayerOptions: [(wrong) => nn.conv1d(1, 1, 1, wrong)],
  ConvTranspose2dLayerOptions: [(wrong) => nn.convTranspose2d(1, 1, 1, wrong)],
  DepthwiseConv2dOptions: [
    (wrong) => nn.depthwiseConv2d(1, 1, wrong),
    (wrong) => nn.separableConv2d(1, 1, 1, wrong),
  ],
  FromImagesOptions: [(wrong) => nn.fromImages(wrong)],
  EmbeddingLayerOptions: [(wrong) => nn.embedding(2, 2, wrong)],
  LearnedPositionsOptions: [(wrong) => nn.learnedPositions(2, 2, wrong)],
  BatchNormOptions: [(wrong) => nn.batchNorm(2, wrong)],
  RmsNormOptions: [(wrong) => nn.rmsNorm(2, wrong)],
  GroupNormOptions: [(wrong) => nn.groupNorm(1, 2, wrong)],
  MultiHeadAttentionOptions: [(wrong) => nn.multiHeadAttention(2, 1, wrong)],
  AttentionCallOptions: [
    (wrong) => nn.multiHeadAttention(2, 1)(series, nn.Scope.root({ isTraining: true }), wrong),
  ],
  TransformerBlockOptions: [(wrong) => nn.transformerBlock(2, 1, wrong)],
  RecurrentOptions: [(wrong) => nn.lstm(2, 2, wrong), (wrong) => nn.gru(2, 2, wrong)],
  SimpleRnnOptions: [(wrong) => nn.simpleRnn(2, 2, wrong)],
  LoraOptions: [(wrong) => nn.lora(nn.linear(2, 2), wrong)],
  ParallelOptions: [(wrong) => nn.parallel([nn.relu()], wrong)],
  LayerNormOptions: [(wrong) => nn.layerNorm(2, wrong)],
  CrossEntropyLossOptions: [(wrong) => nn.crossEntropy(wrong)],
  SoftmaxCrossEntropyOptions: [
    (wrong) => ops.softmaxCrossEntropy(value, ops.input("labels", "u32", [2]), wrong),
  ],
  BinaryCrossEntropyOptions: [(wrong) => nn.binaryCrossEntropy(wrong)],
  HuberOptions: [(wrong) => nn.huber(wrong)],
  KlDivergenceOptions: [(wrong) => nn.klDivergence(wrong)],
  NllOptions: [(wrong) => nn.nll(wrong)],
  ClassMetricOptions: [(wrong) => nn.accuracy(wrong), (wrong) => nn.confusionMatrix(wrong)],
  AveragedMetricOptions: [
    (wrong) => nn.precision(wrong),
    (wrong) => nn.recall(wrong),
    (wrong) => nn.f1(wrong),
  ],
  PerplexityOptions: [(wrong) => nn.perplexity(wrong)],
  TopKMetricOptions: [(wrong) => nn.topK(wrong)],
  CombineLossesOptions: [(wrong) => nn.combineLosses({ a: nn.mse() }, wrong)],
  PenaltyOptions: [(wrong) => nn.l1Penalty(1, wrong), (wrong) => nn.l2Penalty(1, wrong)],
  KaimingOptions: [
    (wrong) => nn.kaimingUniform(1, wrong),
    (wrong) => nn.kaimingNormal(1, wrong),
  ],
  VarianceScalingOptions: [(wrong) => nn.varianceScaling(wrong)],
  ScopeOptions: [(wrong) => nn.Scope.root(wrong)],
  BufferOptions: [(wrong) => nn.Scope.root({ isTraining: true }).buffer("a", [1], wrong)],
  ReductionOptions: [
    (wrong) => ops.sum(value, wrong),
    (wrong) => ops.mean(value, wrong),
    (wrong) => ops.max(value, wrong),
    (wrong) => ops.min(value, wrong),
    (wrong) => ops.prod(value, wrong),
    (wrong) => ops.all(value, wrong),
    (wrong) => ops.any(value, wrong),
    (wrong) => ops.logSumExp(value, wrong),
  ],
  BatchNormOpOptions: [(wrong) => ops.batchNorm(value, wrong)],
  LayerNormOpOptions: [(wrong) => ops.layerNorm(value, wrong)],
  RmsNormOpOptions: [(wrong) => ops.rmsNorm(value, wrong)],
  GroupNormOpOptions: [(wrong) => ops.groupNorm(value, 1, wrong)],
  RotaryEmbeddingOptions: [
    (wrong) => ops.rotaryEmbedding(value, wrong),
    (rotary) => nn.multiHeadAttention(4, 2, { rotary }),
  ],
  SoftmaxOptions: [(wrong) => ops.softmax(value, wrong), (wrong) => ops.logSoftmax(value, wrong)],
  ArgmaxOptions: [(wrong) => ops.argmax(value, wrong), (wrong) => ops.argmin(value, wrong)],
  CumsumOptions: [(wrong) => ops.cumsum(value, wrong)],
  VarianceOptions: [(wrong) => ops.variance(value, wrong)],
  NormOptions: [(wrong) => ops.norm(value, wrong)],
  SortOptions: [(wrong) => ops.sort(value, wrong), (wrong) => ops.argsort(value, wrong)],
  TopKOptions: [(wrong) => ops.topK(value, 1, wrong)],
  ScatterOptions: [(wrong) => ops.scatter(value, indices, value, wrong)],
  EmbeddingOptions: [(wrong) => ops.embedding(value, indices, wrong)],
  SliceOptions: [(wrong) => ops.slice(value, wrong)],
  PadOptions: [(wrong) => ops.pad(value, [], wrong)],
  FlipOptions: [(wrong) => ops.flip(value, wrong)],
  AxisOptions: [
    (wrong) => ops.concat([value], wrong),
    (wrong) => ops.stack([value], wrong),
    (wrong) => ops.split(value, 1, wrong),
    (wrong) => ops.take(value, indices, wrong),
    (wrong) => ops.takeAlongAxis(value, indices, wrong),
    (wrong) => ops.gather(value, indices, wrong),
  ],
  SqueezeOptions: [(wrong) => ops.squeeze(value, wrong)],
  LeakyReluOptions: [(wrong) => ops.leakyRelu(value, wrong), (wrong) => nn.leakyRelu(wrong)],
  EluOptions: [(wrong) => ops.elu(value, wrong), (wrong) => nn.elu(wrong)],
  GeluOptions: [(wrong) => ops.gelu(value, wrong), (wrong) => nn.gelu(wrong)],
  AttentionOptions: [(wrong) => ops.attention(image, image, image, wrong)],
  Conv2dOptions: [(wrong) => ops.conv2d(image, image, wrong)],
  Conv1dOptions: [(wrong) => ops.conv1d(series, series, wrong)],
  ConvTranspose2dOptions: [(wrong) => ops.convTranspose2d(image, image, wrong)],
  MaxPoolOptions: [
    (wrong) => ops.maxPool2d(image, 1, wrong),
    (wrong) => ops.maxPool1d(series, 1, wrong),
    (wrong) => nn.maxPool2d(1, wrong),
    (wrong) => nn.maxPool1d(1, wrong),
  ],
  AvgPoolOptions: [
    (wrong) => ops.avgPool2d(image, 1, wrong),
    (wrong) => ops.avgPool1d(series, 1, wrong),
    (wrong) => nn.avgPool2d(1, wrong),
    (wrong) => nn.avgPool1d(1, wrong),
  ],
  UpsampleOptions: [(wrong) => ops.upsample(image, wrong), (wrong) => nn.upsample(wrong)],
  MatmulOptions: [(wrong) => ops.matmul(value, value, wrong)],
  RandomOptions: [(wrong) => ops.randomUniform([2], wrong), (wrong) => ops.randomNormal([2], wrong)],
  DropoutOptions: [(wrong) => ops.dropout(value, wrong)],
  CustomOpOptions: [(wrong) => ops.customOp(wrong)],
  CompileOptions: [(wrong) => cairn.Executable.compile(nothing(), nothing(), wrong)],
  Program: [(wrong) => cairn.Executable.compile(nothing(), wrong)],
  GpuOptions: [(wrong) => cairn.GpuDevice.open(wrong)],
  SlabOptions: [(wrong) => cairn.TensorStore.on(nothing(), wrong)],
  TensorStoreOptions: [(wrong) => cairn.TensorStore.open(wrong)],
  CairnErrorOptions: [(wrong) => new cairn.CairnError("closed", "closed", wrong)],

  HttpSourceOptions: [
    (wrong) => cairn.HttpSource.open("http://127.0.0.1:1/", wrong),
    (wrong) => cairn.openSafetensors("http://127.0.0.1:1/", wrong),
  ],
  ServePageOptions: [(wrong) => servePage(".", wrong)],
  MoveOptions: [(wrong) => new cairn.MemoryStorage().move("a", "b", wrong)],
  ListOptions: [
    (wrong) => new cairn.MemoryStorage().list("", wrong),
    async (wrong) => (await cairn.FileStorage.open(".")).list("", wrong),
  ],
  S3Options: [(wrong) => cairn.S3Storage.open("s3://bucket/a", wrong)],
  S3Credentials: [(wrong) => cairn.S3Storage.open("s3://bucket/a", { credentials: wrong })],
  MemoryStorageOptions: [(wrong) => new cairn.MemoryStorage(wrong)],

  OpenOptions: [(wrong) => cairn.ContainerReader.open(cairn.bytesSource(new Uint8Array(1)), wrong)],
  ContainerWriterOptions: [(wrong) => cairn.ContainerWriter.create(sink, wrong)],
  TensorReadOptions: [
    (wrong) => onCheckpoint(({ reader }) => reader.read(nameOf(reader), wrong)),
    (wrong) => onCheckpoint(({ reader }) => reader.readInto(nameOf(reader), new Uint8Array(16), wrong)),
    (wrong) => onCheckpoint(({ reader }) => reader.stream(nameOf(reader), wrong).next()),
  ],
  Work: [
    detached(cairn.ContainerReader.prototype.verify),
    detached(cairn.Checkpoint.prototype.verify),
  ],
  ReadManyOptions: [(wrong) => onCheckpoint(({ reader }) => reader.readMany([], wrong).next())],
  ReadRangeOptions: [detached(cairn.ContainerReader.prototype.readRange, 0, 1)],
  RawChunksOptions: [(wrong) => onCheckpoint(({ reader }) => reader.rawChunks(wrong).next())],

  CheckpointLoadOptions: [detached(cairn.Checkpoint.prototype.loadInto, {})],
  ReadObjectOptions: [detached(cairn.Checkpoint.prototype.readObject, "state/epoch")],
  ReadWithinOptions: [detached(cairn.Checkpoint.prototype.readObject, "state/epoch")],
  CatalogOptions: [(wrong) => cairn.readCatalog(nothing(), wrong)],
  RecoverOptions: [(wrong) => cairn.recover(nothing(), wrong)],
  GetCheckpointOptions: [
    (wrong) => cairn.getCheckpoint("memory:x", wrong),
    (wrong) => cairn.findCheckpoint("memory:x", wrong),
  ],
  AssertResumeExactOptions: [(wrong) => cairn.assertResumeExact(nothing(), wrong)],
  FirstDifferenceOptions: [(wrong) => cairn.firstDifference(nothing(), nothing(), wrong)],
  PredictorOptions: [(wrong) => cairn.Predictor.open(cairn.nn.relu(), "x", wrong)],
  WarmStartOptions: [(wrong) => cairn.warmStart(nothing(), "x", wrong)],
  InitializeOptions: [(wrong) => cairn.initializeFromCheckpoint(nothing(), "x", wrong)],
  LoadCheckpointOptions: [(wrong) => cairn.loadCheckpoint("memory:x", {}, wrong)],
  LoadPartsOptions: [(wrong) => cairn.loadParts("x", {}, wrong)],
  PartialLoadOptions: [(wrong) => cairn.warmStart(nothing(), "x", wrong)],
  FitOptions: [(wrong) => cairn.warmStart(nothing(), "x", wrong)],
  SaveCheckpointOptions: [(wrong) => cairn.saveCheckpoint("memory:x", {}, wrong)],
  RankSaveOptions: [(ranks) => cairn.saveCheckpoint("memory:x", {}, { tag: "a", ranks })],
  GroupOptions: [(wrong) => cairn.ProcessGroup.inMemory(1, wrong)],
  MpiGroupOptions: [(wrong) => cairn.MpiGroup.open(wrong)],
  GroupCallOptions: [
    (wrong) => cairn.ProcessGroup.inMemory(1)[0]?.barrier(wrong),
    (wrong) => cairn.ProcessGroup.inMemory(1)[0]?.broadcast(0, new Uint8Array(), wrong),
    (wrong) => cairn.ProcessGroup.inMemory(1)[0]?.allGather(new Uint8Array(), wrong),
    (wrong) => cairn.ProcessGroup.inMemory(1)[0]?.allToAll([new Uint8Array()], wrong),
  ],
  DirectoryGroupOptions: [(wrong) => cairn.ProcessGroup.overDirectory("memory:x", wrong)],
  SplitCheckpointOptions: [(wrong) => cairn.splitCheckpoint("a", "b", wrong)],
  LoadModelCodeOptions: [(wrong) => cairn.loadModelCode("x", wrong)],
  SnapshotOptions: [(wrong) => new cairn.Snapshot("memory:x", {}, wrong)],
  BackgroundSaveOptions: [detached(cairn.Snapshot.prototype.save, 1)],
  BackgroundSaverOptions: [(wrong) => new cairn.Snapshot("memory:x", {}, wrong)],
  StoreCopyOptions: [(wrong) => new cairn.Snapshot("memory:x", {}, wrong)],
  RestoreOptions: [detached(cairn.Snapshot.prototype.restore, 1)],
  FieldSaveOptions: [(wrong) => cairn.Snapshot.of({ a: 1 }).save("x", wrong)],
  FieldLoadOptions: [(wrong) => cairn.Snapshot.load("x", wrong)],
  FileEngineOptions: [
    (wrong) => cairn.FileEngine.open("memory:x", wrong),
    (wrong) => cairn.MirrorEngine.open(["memory:x"], wrong),
    (file) => cairn.chooseEngine("memory:x", { file }),
  ],
  DiskSpaceOptions: [(wrong) => cairn.FileEngine.open("memory:x", wrong)],
  WriterLockOptions: [
    (exclusive) => cairn.FileEngine.open("memory:x", { exclusive }),
    (exclusive) => new cairn.AutoSaver({ exclusive }),
  ],
  DecoupledEngineOptions: [
    (wrong) => onEngine(async (engine) => await new cairn.DecoupledEngine(engine, wrong)),
  ],
  MirrorOptions: [(wrong) => onEngine(async (engine) => await new cairn.MirrorEngine([engine], wrong))],
  CreateOptions: [onEngines((engine, wrong) => engine.create("a", wrong))],
  FileSaveOptions: [(wrong) => onEngine((engine) => engine.save({}, undefined, wrong))],
  SaveOptions: [onEngines(async (engine, wrong) => {
    await engine.create("a");
    return await engine.save({}, undefined, wrong);
  })],
  EngineCommitOptions: [onEngines((engine, wrong) => engine.commit("a", wrong))],
  EngineLoadOptions: [
    onEngines((engine, wrong) => engine.load("a", wrong)),
    (wrong) => cairn.loadTensor(nothing(), "a", nothing(), wrong),
  ],
  RemoveOptions: [onEngines((engine, wrong) => engine.remove("a", wrong))],
  MakeDirsOptions: [
    (wrong) => onEngine((engine) => new cairn.DeepSpeedEngine(engine).makedirs("a", wrong)),
  ],
  RetainOptions: [(wrong) => cairn.retain(nothing(), "a", {}, wrong)],
  RetentionPolicy: [
    (keep) => cairn.retain(nothing(), "a", keep),
    (keep) => cairn.planRetention([], keep, nothing()),
    (keep) => new cairn.Snapshot("memory:x", {}, { keep }),
    (keep) => onEngine(async (engine) => await new cairn.TieredEngine([{ engine, keep }])),
  ],
  BestNOptions: [(wrong) => rules.bestN(1, "loss", wrong)],
  EveryNStepsOptions: [(wrong) => rules.everyNSteps(10, wrong)],
  CheckpointsIteratorOptions: [
    (wrong) => cairn.checkpointsIterator("memory:x", wrong),
    (wrong) => cairn.watchCheckpoints("memory:x", wrong),
  ],
  EvaluateCheckpointsOptions: [(wrong) => cairn.evaluateCheckpoints("memory:x", wrong)],
  WaitForEvaluatorsOptions: [(wrong) => cairn.waitForEvaluators("memory:x", [], 1, wrong)],
  LeaseOptions: [(wrong) => cairn.Lease.take("memory:x", "a", wrong)],

  DataLoaderOptions: [(wrong) => cairn.DataLoader.from(dataset, wrong)],
  ExampleLoaderOptions: [
    (wrong) => cairn.MapLoader.open(nothing<never>(), wrong),
    (wrong) => cairn.StreamLoader.open(nothing<never>(), wrong),
  ],
  SamplerOptions: [
    (wrong) => cairn.weightedSampler([1], wrong),
    (wrong) => cairn.balancedSampler([1], wrong),
  ],
  CsvOptions: [
    (wrong) => cairn.csvRows("a.csv", wrong),
    (wrong) => cairn.readCsv("a.csv", wrong),
  ],
  OpenRowsOptions: [(wrong) => cairn.openRows("a.npy", wrong)],
  TokenWindowsOptions: [(wrong) => cairn.tokenWindows(new Uint8Array(9), wrong)],
  MapLoaderOptions: [(wrong) => cairn.MapLoader.open(nothing<never>(), wrong)],
  StreamLoaderOptions: [(wrong) => cairn.StreamLoader.open(nothing<never>(), wrong)],
  RunOptions: [(wrong) => new cairn.Trainer(nothing(), wrong)],
  TrainerOptions: [(wrong) => new cairn.Trainer(nothing(), wrong)],
  RollbackOptions: [
    (rollback) =>
      new cairn.Trainer(nothing(), {
        model: nn.linear(1, 1),
        loss: nn.mse(),
        optimizer: optim.sgd({ learningRate: 0.1 }),
        data: cairn.DataLoader.from(dataset, { batchSize: 1 }),
        rollback,
      }),
  ],
  GotoOptions: [detached(cairn.Trainer.prototype.goto, 1)],
  TrainOptions: [detached(cairn.Trainer.prototype.train)],
  CloseOptions: [
    (wrong) => Reflect.apply(cairn.Trainer.prototype.close, {}, [wrong]) as Promise<void>,
    (wrong) => Reflect.apply(cairn.TrainStep.prototype.close, {}, [wrong]) as Promise<void>,
  ],
  FrozenOptions: [(wrong) => nn.frozen(nn.relu(), wrong)],
  TrainStepOptions: [(wrong) => cairn.TrainStep.compile(nothing(), wrong)],
  ExplainOptions: [detached(cairn.Trainer.prototype.explain)],
  ValidationOptions: [
    (validation) =>
      new cairn.Trainer(nothing(), {
        model: nn.linear(1, 1),
        loss: nn.mse(),
        optimizer: optim.sgd({ learningRate: 0.1 }),
        data: cairn.DataLoader.from(dataset, { batchSize: 1 }),
        validation,
      }),
  ],
  ClipGradientsOptions: [
    (clipGradients) =>
      new cairn.Trainer(nothing(), {
        model: nn.linear(1, 1),
        loss: nn.mse(),
        optimizer: optim.sgd({ learningRate: 0.1 }),
        data: cairn.DataLoader.from(dataset, { batchSize: 1 }),
        clipGradients,
      }),
  ],
  DataParallelOptions: [
    (parallel) =>
      new cairn.Trainer(nothing(), {
        model: nn.linear(1, 1),
        loss: nn.mse(),
        optimizer: optim.sgd({ learningRate: 0.1 }),
        data: cairn.DataLoader.from(dataset, { batchSize: 1 }),
        parallel,
      }),
  ],
  EvaluateOptions: [detached(cairn.Trainer.prototype.evaluate, {})],
  GenerateOptions: [
    detached(cairn.Predictor.prototype.generate, [1]),
    detached(cairn.Predictor.prototype.generateMany, [[1]]),
    detached(cairn.Trainer.prototype.generate, [1]),
  ],
  PredictOptions: [detached(cairn.Trainer.prototype.predict, [])],
  ResumeOptions: [detached(cairn.Trainer.prototype.resume)],
  RecoverRunOptions: [detached(cairn.Trainer.prototype.recover)],
  TrainerLoadOptions: [
    detached(cairn.Trainer.prototype.load, "a"),
    detached(cairn.Trainer.prototype.warmStart, "a"),
  ],
  TrainerSaveOptions: [detached(cairn.Trainer.prototype.save, "a")],
  AutoSaveOptions: [(wrong) => new cairn.AutoSaver(wrong)],
  LogOptions: [
    (wrong) => cairn.csvLog("a.csv", wrong),
    (wrong) => cairn.jsonlLog("a.jsonl", wrong),
    (wrong) => cairn.tensorBoardLog("runs", wrong),
  ],
  PlotOptions: [(wrong) => cairn.plot({ loss: [], epochs: [] }, wrong)],
  EarlyStoppingOptions: [(wrong) => cairn.earlyStopping(wrong)],
  ReduceOnPlateauOptions: [(wrong) => cairn.reduceOnPlateau(wrong)],
  TerminalProgressOptions: [(wrong) => cairn.terminalProgress(wrong)],
  SignalOptions: [
    (handleSignals) => detached(cairn.Trainer.prototype.train)({ epochs: 1, handleSignals } as never),
  ],

  ExchangeReadOptions: [
    (wrong) => cairn.readNpy(cairn.bytesSource(new Uint8Array(1)), wrong),
    (wrong) => cairn.tensorsOfFile(nothing(), [], wrong),
    (wrong) => cairn.tensorsOfContainer(nothing(), [], wrong),
    detached(cairn.TorchTensor.prototype.read),
  ],
  NpzOptions: [(wrong) => cairn.writeNpz(sink, {}, wrong)],
  SafetensorsOptions: [(wrong) => cairn.writeSafetensors(sink, {}, wrong)],
  SaveSafetensorsOptions: [
    (wrong) => cairn.saveSafetensors(new cairn.MemoryStorage(), "a.safetensors", {}, wrong),
  ],
  ExportWeightsOptions: [(wrong) => cairn.exportWeights(nothing(), nothing(), "a.safetensors", wrong)],
  WriteCairnOptions: [(wrong) => cairn.writeCairn("a.cairn", {}, wrong)],
};

/** Objects that are no options by name, and whose fields are Cairn's all the same. */
const FIELDS: Readonly<Record<string, Call>> = {
  "what saveCheckpoint saves": (wrong) => cairn.saveCheckpoint("memory:x", wrong, { tag: "a" }),
  "what an engine saves": (wrong) =>
    onEngine(async (engine) => {
      await engine.create("a");
      return await engine.save(wrong);
    }),
  "what loadCheckpoint loads into": (wrong) => cairn.loadCheckpoint("memory:x", wrong),
  "what loadParts loads into": (wrong) => cairn.loadParts("x", wrong),
  "the fields of a CommitInfo": (wrong) => cairn.CommitInfo.of(wrong),
  "parts of examples": (wrong) => cairn.examplesOf(wrong),
  "a data set": (wrong) => cairn.DataLoader.from(wrong, { batchSize: 1 }),
  "keep of autoSave": (keep) => new cairn.AutoSaver({ keep }),
  "keep.best of autoSave": (best) => new cairn.AutoSaver({ keep: { best } }),
  "a metric to rank by": (wrong) => rules.bestN(1, wrong),
  "a tier": (wrong) => new cairn.TieredEngine([wrong]),
  "a choice of engines": (wrong) => cairn.chooseEngine("memory:x", wrong),
  "tiers of a choice of engines": (tiers) => cairn.chooseEngine("memory:x", { tiers }),
  "a configuration of checkpointing": (wrong) => cairn.checkpointingConfig(wrong),
  "an agreement on a tag": (wrong) => cairn.agreeOnTag("a", wrong),
  "a group of parameters": (wrong) => optim.sgd({ learningRate: 1, groups: [wrong] }),
  "a rank's view": (wrong) => onCheckpoint(async (checkpoint) => await checkpoint.forRank(wrong)),
};

function nameOf(reader: cairn.ContainerReader): string {
  return reader.tensors[0]?.name ?? "";
}

/** Over each kind of engine. */
function onEngines(use: (engine: cairn.Engine, wrong: never) => Promise<unknown>): Call {
  return async (wrong) => {
    const inner = await memoryEngine();
    const engines = [
      inner,
      new cairn.DecoupledEngine(await memoryEngine()),
      new cairn.MirrorEngine([await memoryEngine()]),
      new cairn.TieredEngine([{ engine: await memoryEngine() }]),
    ];
    const errors = [];
    for (const engine of engines) errors.push(await thrownBy(() => use(engine, wrong)));
    // What a FileEngine takes besides is for ranks.
    const messages = new Set(errors.map(({ name, message }) => `${name}: ${message.split(";")[0]}`));
    expect(messages.size).toBe(1);
    throw errors[0];
  };
}

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? sourceFiles(path) : entry.name.endsWith(".ts") ? [path] : [];
  });
}

const files = sourceFiles(join(root, "src")).map((path) => ({
  path: relative(root, path),
  text: readFileSync(path, "utf8"),
}));
const outside = files.filter(({ path }) => !INSIDE_ROOMS.includes(path.split(/[\\/]/)[1] ?? ""));
const declared = outside.flatMap(({ text }) =>
  [...text.matchAll(/^export (?:interface|type) (\w+Options?)\b/gm)].map(([, name = ""]) => name)
);
const listed = new Map(
  outside.flatMap(({ text }) =>
    [...text.matchAll(/const ([A-Z_0-9]+): OptionNames<(\w+)>/g)].map(([, constant = "", of = ""]) =>
      [of, constant] as const
    )
  ),
);
const code = outside.map(({ text }) => text).join("\n");

async function refusal(call: Call): Promise<string> {
  const error = await thrownBy(() => call({ colour: "red" } as unknown as never));
  return `${error.name}: ${error.message}`;
}

describe("public options", () => {
  test("every interface of options has a record of its names, or is listed as internal", () => {
    expect(declared.length).toBeGreaterThan(70);
    expect(declared.filter((name) => !listed.has(name) && !INSIDE.includes(name))).toEqual([]);
    expect(INSIDE.filter((name) => !declared.includes(name) || listed.has(name))).toEqual([]);
  });

  test("every record of names is used to check options", () => {
    const uses = code.replaceAll(/\s+/g, " ").matchAll(
      /(?:\.\.\.|, )([A-Z]\w*)|: ([A-Z]\w*),|= ([A-Z]\w*);/g,
    );
    const used = new Set([...uses].map(([, given, value, assigned]) => given ?? value ?? assigned));
    expect([...listed.values()].filter((constant) => !used.has(constant))).toEqual([]);
  });

  test("every interface of options is called below", () => {
    expect(declared.filter((name) => !INSIDE.includes(name) && !(name in CALLS))).toEqual([]);
  });

  for (const [name, calls] of Object.entries(CALLS)) {
    for (const [index, call] of calls.entries()) {
      test(`${name} ${index + 1} refuses an unknown option`, async () => {
        expect(await refusal(call)).toMatch(/^TypeError: .* has no option "colour"; it has .+/);
      });
    }
  }

  for (const [name, call] of Object.entries(FIELDS)) {
    test(`${name} refuses an unknown field`, async () => {
      expect(await refusal(call)).toMatch(/^TypeError: .* has no option "colour"; it has .+/);
    });
  }

  test("says which option was meant", async () => {
    const cases: [Record<string, unknown>, Call, string][] = [
      [{ optimiser: 1 }, (wrong) => new cairn.Trainer(nothing(), wrong), "optimizer"],
      [{ onstep: 1 }, detached(cairn.Trainer.prototype.train), "onStep"],
      [{ weightdecay: 1 }, (wrong) => optim.adamw(wrong), "weightDecay"],
      [{ lr: 1 }, (wrong) => optim.sgd(wrong), "learningRate"],
      [{ axis: 1 }, (wrong) => ops.sum(value, wrong), "axes"],
      [{ keepdim: true }, (wrong) => ops.mean(value, wrong), "keepDims"],
      [{ batch_size: 1 }, (wrong) => cairn.DataLoader.from(dataset, wrong), "batchSize"],
      [{ lasts: 1 }, (keep) => new cairn.AutoSaver({ keep }), "last"],
      [{ overWrite: true }, detached(cairn.Trainer.prototype.save, "a"), "overwrite"],
    ];
    for (const [wrong, call, meant] of cases) {
      const { name, message } = await thrownBy(() => call(wrong as never));
      expect(`${name}: ${message}`).toContain(`did you mean "${meant}"?`);
    }
  });

  test("a store in the place of its owner is recognised, and refused", async () => {
    const store = Object.create(cairn.TensorStore.prototype) as cairn.TensorStore;
    for (
      const call of [
        () => cairn.saveCheckpoint("memory:x", store as object, { tag: "a" }),
        () => cairn.loadCheckpoint("memory:x", store as object),
        () => cairn.loadParts("x", store as object),
      ]
    ) {
      const { name, message } = await thrownBy(call);
      expect(`${name}: ${message}`).toMatch(/TypeError: .*found a TensorStore; pass \{ store \}/);
    }
  });

  test("a checkpoint of nothing but a misspelt field is not committed", async () => {
    const engine = await memoryEngine();
    const state = { tensor: { w: new Float32Array(2) } } as object;
    await thrownBy(() => cairn.saveCheckpoint(engine, state, { tag: "a" }));
    expect(await engine.list()).toEqual([]);
  });
});
