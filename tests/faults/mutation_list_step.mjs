// Steps of a training step that is not finite, of what is saved around it, and of the labels' check, for
// `mutation_list.mjs`.

const VERDICT = "src/kernels/optimizer/step_verdict.ts";
const CHECK = "src/kernels/optimizer/gradient_check.ts";
const CORRECTIONS = "src/kernels/optimizer/bias_corrections.ts";
const PROGRAM = "src/train/step/step_program.ts";
const LOOP = "src/train/train_loop.ts";
const RUN = "src/train/loop/run.ts";
const BUFFERS = "src/train/step/buffer_updates.ts";
const PIECES = "src/train/step/batch_pieces.ts";
const RUNNER = "src/train/loop/step_runner.ts";

const STOPPED = ["tests/train/loop/non_finite_test.ts"];
const JUDGED = ["tests/kernels/optimizer/step_verdict_test.ts"];
const CHECKED = ["tests/kernels/optimizer/gradient_check_test.ts"];
const UNREACHED = ["tests/train/unreached_parameters_test.ts"];
const VALIDATED = ["tests/train/loop/validation_test.ts"];
const LABELS = ["tests/train/measure/index_check_test.ts"];
const WEIGHTS = ["tests/train/loss_weights_test.ts"];
const TERMS = ["tests/train/loss_terms_test.ts"];
const SHORT = ["tests/train/short_last_batch_test.ts"];
const CLOSED = ["tests/train/compile_progress_test.ts"];
const BUFFERED = ["tests/train/step/buffer_updates_test.ts"];
const NORMALISED = ["tests/nn/layers/batch_norm_test.ts"];
const THROWN = ["tests/train/save_on_error_test.ts"];

/** As in `mutation_list.mjs`. */
export const STEP_MUTATIONS = [
  ["gate of an update", VERDICT, "if (verdict.applies == 0u) {", "if (verdict.applies == 7u) {", STOPPED],
  [
    "verdict over buffers",
    BUFFERS,
    "gatedCopy<UpdateBinding>({ from, into, verdict },",
    "copy<UpdateBinding>({ input: from, out: into },",
    BUFFERED,
  ],
  ["buffers that a piece begins with", PIECES, "    this.#beginBuffers();\n", "", BUFFERED],
  [
    "unbiased running variance",
    "src/nn/layers/batch_norm.ts",
    "mul(statistics.variance, count / (count - 1))",
    "mul(statistics.variance, 1)",
    NORMALISED,
  ],
  [
    "the second look at a row that begins far from its mean",
    "src/kernels/norm/row_norm.ts",
    "    near = mean;\n",
    "",
    ["tests/kernels/norm/row_norm_test.ts"],
  ],
  [
    "the second look at a row whose largest element is far from those looked at first",
    "src/kernels/softmax/row_kernel.ts",
    "attempt < 2u",
    "attempt < 1u",
    ["tests/kernels/softmax/softmax_test.ts"],
  ],
  ["loss in the verdict", VERDICT, "var largest = loss & 0x7fffffffu;", "var largest = 0u;", JUDGED],
  [
    "gradients in the verdict",
    VERDICT,
    "    largest = max(largest, partials[index].largest);\n",
    "",
    [...JUDGED, ...STOPPED],
  ],
  ["stop that stays", VERDICT, "let applies = is_finite && !is_stopped;", "let applies = is_finite;", JUDGED],
  ["flag of a stop", VERDICT, "    control.stopped = 1u;\n", "", JUDGED],
  ["step of a stop", VERDICT, "    control.stopped_step = scalars.step;\n", "", JUDGED],
  ["count of updates", VERDICT, "  control.updates = updates;\n", "", STOPPED],
  [
    "bits of every gradient",
    CHECK,
    "    largest = max(largest, bits & vec4<u32>(0x7fffffffu));\n",
    "",
    CHECKED,
  ],
  [
    "last part of the gradients",
    CHECK,
    "Math.ceil(count / ELEMENTS_PER_WORKGROUP) * WORKGROUP_SIZE",
    "Math.floor(count / ELEMENTS_PER_WORKGROUP) * WORKGROUP_SIZE",
    CHECKED,
  ],
  [
    "carry of a product",
    CORRECTIONS,
    "vec2<u32>(high.x + carry, with_carried)",
    "vec2<u32>(high.x, with_carried)",
    ["tests/kernels/optimizer/bias_corrections_test.ts"],
  ],
  [
    "update that does not bind the verdict",
    PROGRAM,
    "if (updates.every(isGated)) return updates;",
    "return updates;",
    ["tests/train/step/step_program_test.ts"],
  ],
  [
    "parameters without a gradient",
    PROGRAM,
    ".filter(({ name }) => gradients.has(name))",
    "",
    UNREACHED,
  ],
  [
    "guards of a snapshot",
    "src/checkpoint/capture/frozen_checkpoint.ts",
    "      this.#moment.askGuards();\n",
    "",
    STOPPED,
  ],
  [
    "guard of a stopped run",
    "src/train/loop/loss_ring.ts",
    "    store.guard(groupOf(owner, CONTROL_TENSOR), refuseStopped);\n",
    "",
    STOPPED,
  ],
  [
    "number of the last whole step",
    RUNNER,
    "    this.#step = this.ring.stoppedStep ?? this.#step;\n",
    "",
    STOPPED,
  ],
  ["release of a stopped run", RUNNER, "    this.ring.release();\n", "", STOPPED],
  [
    "labels that are no class, in training",
    RUN,
    "    requireBatchInRange(ranges, data, batch, request);\n",
    "",
    LABELS,
  ],
  [
    "labels that are no class, in an evaluation",
    "src/train/measure/evaluation.ts",
    "    requireBatchInRange(ranges, source, batch, request);\n",
    "",
    LABELS,
  ],
  [
    "gradients of examples without a weight",
    "src/nn/losses/masked_loss.ts",
    "return [where(equal(perExample, 0), 0, outGrad)];",
    "return [outGrad];",
    WEIGHTS,
  ],
  [
    "weights of a batch that are all 0",
    "src/train/measure/batch_loss.ts",
    "where(equal(weight, 0), 1, weight)",
    "weight",
    WEIGHTS,
  ],
  [
    "numbers of a step that stopped",
    "src/kernels/optimizer/record_term.ts",
    "if (control.stopped != 0u) {",
    "if (control.stopped == 7u) {",
    TERMS,
  ],
  [
    "size of a smaller last batch",
    "src/train/loop/batch_order.ts",
    "return sizeOfBatch(this.#data, this.requestOf(step).position);",
    "return this.#data.batchSize;",
    SHORT,
  ],
  [
    "metrics that are not finite",
    "src/checkpoint/keep/retention/by_metric.ts",
    "!Number.isFinite(value) ? []",
    "Number.isNaN(value) ? []",
    ["tests/checkpoint/keep/retention/by_metric_test.ts"],
  ],
  ["save after an error", LOOP, "    await saveAfter(error, context, startStep);\n", "", THROWN],
  [
    "save of the best validation",
    LOOP,
    "  if (saves.isBestDue) return moment;\n",
    "",
    VALIDATED,
  ],
  [
    "validation before the save of its step",
    LOOP,
    "run.isEpochUnmeasured || isValidationDue(run) || interrupts",
    "run.isEpochUnmeasured || interrupts",
    VALIDATED,
  ],
  [
    "losses that only the ring of a restored loop has",
    RUNNER,
    "    if (this.#lacksLosses) await this.ring.drain(this.#step);\n",
    "",
    ["tests/train/loop/train_step_test.ts"],
  ],
  [
    "state that is put back behind a measured step",
    "src/gpu/time_dispatches.ts",
    "if (copy !== undefined) encoder.copyBufferToBuffer(copy, 0, buffer, offset, size);",
    "",
    ["tests/train/explain_test.ts"],
  ],
  [
    "prediction that waits behind a close",
    "src/train/measure/predictions.ts",
    "    const programs = this.#programs;\n    const outputs = this.#running.then(() => this.#run(programs, ",
    "    const outputs = this.#running.then(() => this.#run(this.#programs, ",
    CLOSED,
  ],
  [
    "close while averages are asked for",
    "src/train/loop/run_programs.ts",
    "    this.#steps.requireOpen();\n",
    "",
    CLOSED,
  ],
  [
    "layer of a gradient",
    "src/graph/autodiff.ts",
    "    madeIn(layerOf(each), () => {",
    "    madeIn(undefined, () => {",
    STOPPED,
  ],
  [
    "layer in an error",
    "src/nn/layer_call.ts",
    "throw inPlace(error, name, x, scope);",
    "throw error;",
    ["tests/nn/layers/places_test.ts"],
  ],
  [
    "turn between two kernels",
    "src/gpu/compile_pipelines.ts",
    "      if (!gpu.hasPipeline(spec)) await nextTurn();\n",
    "",
    ["tests/gpu/compile_pipelines_test.ts"],
  ],
];
