// A process of its own that holds the tensors of bench/checkpoint/main.ts in TensorFlow.js, and saves them when it is
// told to. In: one line of JSON with the provider and the tensors' names and shapes, then one line for each save; end
// of input ends it. Out: one line of JSON for each line in: {"backend", "setup"}, then {"ms", "byteLength", "ok"}; or
// {"absent": "why"}.
import process from "node:process";
import readline from "node:readline";

const lines = readline.createInterface({ input: process.stdin })
  [Symbol.asyncIterator]();

async function nextRequest() {
  const { value, done } = await lines.next();
  return done ? undefined : JSON.parse(value);
}

function reply(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** TensorFlow.js looks for `navigator.gpu`, and for WebGPU's constants among the globals. */
async function provideWebGpu(provider) {
  if (provider !== "dawn") return undefined;
  const { create, globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  const gpu = create([]);
  Object.defineProperty(globalThis.navigator, "gpu", {
    value: gpu,
    configurable: true,
  });
  return gpu;
}

async function chooseBackend(tf) {
  try {
    await import("@tensorflow/tfjs-backend-webgpu");
    if (await tf.setBackend("webgpu")) return "webgpu";
  } catch (error) {
    console.error(`tfjs: no WebGPU backend: ${error.message}`);
  }
  await tf.setBackend("cpu");
  return "cpu";
}

/** Any values will do, as TensorFlow.js neither looks at them nor compresses. */
function valueAt(tensor, index) {
  return tensor + (index % 8192) / 8192;
}

function valuesOf(tensor, length) {
  const values = new Float32Array(length);
  for (let index = 0; index < length; index++) {
    values[index] = valueAt(tensor, index);
  }
  return values;
}

function modelOf(tf, layers, tensors) {
  class StateLayer extends layers.layers.Layer {
    build(inputShape) {
      for (const { name, shape } of tensors) {
        this.addWeight(name, shape, "float32", layers.initializers.zeros());
      }
      super.build(inputShape);
    }
    call(inputs) {
      return inputs;
    }
    static get className() {
      return "StateLayer";
    }
  }
  const model = layers.sequential({
    layers: [new StateLayer({ inputShape: [1] })],
  });
  for (const [index, { shape }] of tensors.entries()) {
    const weight = model.weights[index];
    const value = tf.tensor(
      valuesOf(index, shape.reduce((a, b) => a * b, 1)),
      shape,
    );
    weight.write(value);
    value.dispose();
  }
  return model;
}

/**
 * New tensors with the same values, as after a step of training: TensorFlow.js keeps what it was given or has read
 * back on the host, and would read nothing from the GPU otherwise.
 */
async function renew(tf, model) {
  for (const weight of model.weights) {
    const renewed = tf.mul(weight.read(), 1);
    weight.write(renewed);
    renewed.dispose();
  }
  await tf.backend().device?.queue.onSubmittedWorkDone();
}

function isRight(weightData, tensors) {
  let offset = 0;
  for (const [index, { shape }] of tensors.entries()) {
    const length = shape.reduce((a, b) => a * b, 1);
    const found = new Float32Array(weightData, offset, length);
    for (let i = 0; i < length; i++) {
      if (found[i] !== valueAt(index, i)) return false;
    }
    offset += 4 * length;
  }
  return offset === weightData.byteLength;
}

const { provider, tensors } = await nextRequest();
try {
  // Held for as long as the process lives: Bun crashes when it is collected.
  globalThis.heldGpu = await provideWebGpu(provider);
  const tf = await import("@tensorflow/tfjs-core");
  const layers = await import("@tensorflow/tfjs-layers");
  const backend = await chooseBackend(tf);
  const model = modelOf(tf, layers, tensors);
  reply({ backend });
  while (await nextRequest() !== undefined) {
    await renew(tf, model);
    let saved;
    const start = performance.now();
    await model.save(tf.io.withSaveHandler((artifacts) => {
      saved = artifacts.weightData;
      return Promise.resolve({
        modelArtifactsInfo: {
          dateSaved: new Date(),
          modelTopologyType: "JSON",
        },
      });
    }));
    const ms = performance.now() - start;
    const weightData = Array.isArray(saved) ? saved[0] : saved;
    reply({
      ms,
      byteLength: weightData.byteLength,
      ok: isRight(weightData, tensors),
    });
  }
} catch (error) {
  reply({ absent: String(error?.stack ?? error) });
}
process.exit(0);
