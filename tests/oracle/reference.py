"""LiteRT's reference kernels as an oracle.  Every file runs in a forked child: a failed check inside the
interpreter aborts the process, and that is an answer ("aborted"), not an accident."""
import os
import pickle
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def run_here(raw, cases):
    """Outputs [case][j] of the packed model for each case, a list of input arrays."""
    interpreter = Interpreter(model_content=raw, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    results = []
    for arrays in cases:
        for detail, array in zip(inputs, arrays):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        results.append([np.array(interpreter.get_tensor(o["index"])) for o in outputs])
    return results


def run(raw, cases):
    """(results, None), or (None, the reason why LiteRT does not run this file)."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(read_end)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            os.dup2(null, 1)
            try:
                answer = (run_here(raw, cases), None)
            except (RuntimeError, ValueError) as error:
                answer = (None, " ".join(str(error).split())[:300])
            with os.fdopen(write_end, "wb") as pipe:
                pickle.dump(answer, pipe)
            code = 0
        finally:
            os._exit(code)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        payload = pipe.read()
    _, status = os.waitpid(child, 0)
    if status != 0 or not payload:
        return None, f"LiteRT aborted (status {status})"
    return pickle.loads(payload)


if __name__ == "__main__":
    print(run_here(open(sys.argv[1], "rb").read(), [[np.load(f) for f in sys.argv[2:]]]))
