# The product of two matrices of f32, 1024 x 1024, by OpenBLAS on all processors: milliseconds of the clock and of the
# processor, medians of some rounds, as a line of JSON. Of OpenBLAS itself or of NumPy, whichever is installed; a line
# with "absent" where neither is.
import ctypes
import ctypes.util
import json
import statistics
import sys
import time

SIZE, ROUNDS = 1024, 15


def openblas():
    name = ctypes.util.find_library("openblas") or (sys.argv[1] if len(sys.argv) > 1 else None)
    if name is None:
        return None
    library = ctypes.CDLL(name)
    Matrix = ctypes.c_float * (SIZE * SIZE)
    a, b, c = Matrix(*([0.5] * SIZE * SIZE)), Matrix(*([0.25] * SIZE * SIZE)), Matrix()
    one, zero = ctypes.c_float(1), ctypes.c_float(0)

    def multiply():
        # Row-major, neither transposed.
        library.cblas_sgemm(101, 111, 111, SIZE, SIZE, SIZE, one, a, SIZE, b, SIZE, zero, c, SIZE)
        return c[SIZE + 1]

    return name, multiply


def numpy():
    try:
        import numpy
    except ImportError:
        return None
    a = numpy.full((SIZE, SIZE), 0.5, numpy.float32)
    b = numpy.full((SIZE, SIZE), 0.25, numpy.float32)
    return "numpy", lambda: (a @ b)[1, 1]


found = openblas() or numpy()
if found is None:
    print(json.dumps({"absent": "neither OpenBLAS nor NumPy is installed"}))
else:
    name, multiply = found
    walls, processor = [], []
    for _ in range(ROUNDS):
        wall, used = time.perf_counter(), time.process_time()
        result = multiply()
        walls.append(time.perf_counter() - wall)
        processor.append(time.process_time() - used)
        assert abs(result - 0.125 * SIZE) < 1e-3, result
    print(json.dumps({
        "by": name,
        "ms": 1000 * statistics.median(walls),
        "cpuMs": 1000 * statistics.median(processor),
    }))
