// Steps that keep numbers right, which `mutations.mjs` takes away one at a time; see `mutation_list.mjs`.

const TOTALS = "src/kernels/reduce/reduction_totals.ts";
const CARRIED = "src/kernels/float_totals.ts";
const WRITER = "src/kernels/elementwise/expression_wgsl.ts";
const REDUCE = "src/graph/ops/reduce.ts";

const SUMS = ["tests/kernels/reduce/reduce_test.ts"];
const NON_FINITE = ["tests/graph/non_finite_test.ts"];
const TIES = ["tests/graph/ops/reduce_test.ts"];
const SHUFFLES = ["tests/data/shuffles_test.ts", "tests/data/keyed_words_test.ts"];
const VIEWS = ["tests/graph/ops/views_test.ts"];
const LOSSES = ["tests/nn/losses/losses_test.ts"];
const ORDERS = ["tests/train/resume_test.ts", "-t", "the order of the data"];

/** Name, file, the text that goes, what stands there instead, and the tests that have to notice. */
export const NUMBER_MUTATIONS = [
  [
    "what rounding took from a sum",
    TOTALS,
    "select(total.sum, total.sum + total.lost, is_finite)",
    "select(total.sum, total.sum, is_finite)",
    SUMS,
  ],
  ["sums that compilers cannot see through", CARRIED, "opaque(a.sum + b.sum)", "(a.sum + b.sum)", SUMS],
  [
    "sums that left the finite numbers",
    TOTALS,
    "select(total.sum, total.sum + total.lost, is_finite)",
    "total.sum + total.lost",
    SUMS,
  ],
  ["the highest i32 as the minimum of nothing yet", TOTALS, 'i32: "2147483647"', 'i32: "0"', SUMS],
  [
    "even shares of a gradient",
    REDUCE,
    "where(isChosen, div(outGrad, ties), 0)",
    "where(isChosen, outGrad, 0)",
    TIES,
  ],
  [
    "NaNs that share a gradient",
    REDUCE,
    "logicalAnd(isNaNValue(elements), isNaNValue(value)),",
    "equal(elements, value),",
    TIES,
  ],
  [
    "elements that are not chosen, of an infinite gradient",
    REDUCE,
    "where(isChosen, div(outGrad, ties), 0)",
    'mul(cast(isChosen, "f32"), div(outGrad, ties))',
    TIES,
  ],
  [
    "draws without bias",
    "src/data/keyed_words.ts",
    "while (word >= limit) word = this.next();",
    "",
    SHUFFLES,
  ],
  [
    "orders of a few elements that are drawn",
    "src/data/permutation.ts",
    "version >= 2 && ",
    "version > 2 && ",
    SHUFFLES,
  ],
  [
    "the order that a run was begun with",
    "src/train/loop/batch_order.ts",
    "this.#orderVersion = orderVersion;",
    "",
    ORDERS,
  ],
  [
    "unknown orders",
    "src/train/loop/training_state.ts",
    "if (ORDER_VERSIONS.includes(orderVersion)) return state;",
    "return state;",
    ["tests/train/loop/training_state_test.ts"],
  ],
  [
    "opaque results of floats",
    WRITER,
    '${dtype === "f32" ? `opaque(${value})` : value}',
    "${value}",
    NON_FINITE,
  ],
  [
    "opaque constants of integers",
    WRITER,
    'dtype === "f32" ? literal(value, dtype) : opaqueLiteral(value, dtype)',
    "literal(value, dtype)",
    ["tests/kernels/elementwise/expression_wgsl_test.ts"],
  ],
  ["operand that is apart", WRITER, 'dtype === "f32" ? `apart(${text})` : text', "text", NON_FINITE],
  [
    "gradient of a power of 0",
    "src/graph/ops/power.ts",
    "logicalAnd(equal(a, 0), greaterEqual(b, 0))",
    "equal(a, 0)",
    NON_FINITE,
  ],
  [
    "powers that C lists",
    "src/graph/ops/power.ts",
    "is_one | ((magnitude == Float(1.0)) & is_endless & !is_nan(x))",
    "is_one",
    ["tests/kernels/elementwise/elementwise_test.ts"],
  ],
  [
    "opaque logits of one class",
    "src/kernels/loss/softmax_cross_entropy.ts",
    "  largest = opaque(largest);\n",
    "",
    NON_FINITE,
  ],
  [
    "decay of a step of sgd",
    "src/kernels/optimizer/update_kernel.ts",
    'coupledDecay > 0 ? " + parameter[index] * coupled_decay" : ""',
    '""',
    ["tests/kernels/optimizer/sgd_test.ts"],
  ],
  ["one open dimension at most", "src/graph/ops/views.ts", "if (open > 1) {", "if (open > 9) {", VIEWS],
  [
    "rows of cross-entropy without a weight",
    "src/kernels/loss/softmax_cross_entropy_gradient.ts",
    ", 0.0, factor == 0.0);",
    ", 0.0, false);",
    LOSSES,
  ],
  [
    "values without a weight",
    "src/graph/ops/weighted.ts",
    "where(equal(weight, 0), 0, value)",
    "value",
    LOSSES,
  ],
  [
    "differences without a weight",
    "src/nn/losses/element_loss.ts",
    "const counted = withoutUnweighted(differences, perRow);",
    "const counted = differences;",
    LOSSES,
  ],
];
