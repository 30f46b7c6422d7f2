/**
 * Has `device` say that memory ran out whenever a buffer with such a label is allocated inside a scope that asks for
 * that.
 */
export function refuseBuffers(device: GPUDevice, label: RegExp): void {
  const createBuffer = device.createBuffer.bind(device);
  const popErrorScope = device.popErrorScope.bind(device);
  const pushErrorScope = device.pushErrorScope.bind(device);
  const filters: { filter: GPUErrorFilter; isStarved: boolean }[] = [];
  const patch = (name: string, value: unknown): void => {
    Object.defineProperty(device, name, { value, configurable: true });
  };
  patch("pushErrorScope", (filter: GPUErrorFilter) => {
    filters.push({ filter, isStarved: false });
    pushErrorScope(filter);
  });
  patch("createBuffer", (descriptor: GPUBufferDescriptor) => {
    const scope = filters.findLast(({ filter }) => filter === "out-of-memory");
    if (label.test(descriptor.label ?? "") && scope !== undefined) scope.isStarved = true;
    return createBuffer(descriptor);
  });
  patch("popErrorScope", async () => {
    const isStarved = filters.pop()?.isStarved ?? false;
    const error = await popErrorScope();
    return isStarved ? { message: "not enough memory" } : error;
  });
}
