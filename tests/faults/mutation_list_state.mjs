// Steps of looking at options, of freezing a state and of bringing it back that `mutations.mjs` takes away; see `mutation_list.mjs`.

export const STATE_MUTATIONS = [
  [
    "look for options that nobody reads",
    "src/base/options.ts",
    "if (!Object.hasOwn(names, name)) throw",
    "if (false) throw",
    ["tests/base/options_test.ts"],
  ],
  [
    "look at what is saved",
    "src/checkpoint/capture/frozen_checkpoint.ts",
    "    requireCheckpointState(source);\n",
    "",
    ["tests/public_options_test.ts"],
  ],
  [
    "look at the options of a reduction",
    "src/graph/ops/reduction_axes.ts",
    '  checkOptions(`${op}()`, options, REDUCTION_OPTIONS, "{ axes: 0 }");\n',
    "",
    ["tests/public_options_test.ts"],
  ],
  [
    "look whether a layer is called again",
    "src/nn/scope.ts",
    "if (other !== call && other.layer === call.layer) return true;",
    "return true;",
    ["tests/nn/scope_test.ts"],
  ],
  [
    "call of a layer that is known",
    "src/nn/layer.ts",
    "return apply(x, scope.callOf(known));",
    "return apply(x, scope);",
    ["tests/nn/scope_test.ts"],
  ],
  [
    "look for fields beside the elements",
    "src/checkpoint/capture/state_freezer.ts",
    "if (hasFieldsOfItsOwn(value, known)) throw",
    "if (false) throw",
    ["tests/checkpoint/capture/state_freezer_test.ts"],
  ],
  [
    "look at the class of a typed array",
    "src/checkpoint/capture/state_freezer.ts",
    "Object.getPrototypeOf(value) !== base.prototype",
    "false",
    ["tests/checkpoint/capture/state_freezer_test.ts"],
  ],
  [
    "look for holes",
    "src/checkpoint/capture/state_freezer.ts",
    "item === undefined && !Object.hasOwn(value, index)",
    "false",
    ["tests/checkpoint/capture/state_freezer_test.ts"],
  ],
  [
    "look for what is no number",
    "src/tensor/host_tensor.ts",
    "    requireNumbers(elements);\n",
    "",
    ["tests/base/what_to_write_test.ts"],
  ],
  [
    "look for a home directory's sign",
    "src/storage/file_storage.ts",
    "    refuseTilde(root);\n",
    "",
    ["tests/base/what_to_write_test.ts"],
  ],
];
