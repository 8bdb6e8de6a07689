"""The fast tests as other processors would run them.

    python -m tests.support.processors [--mkl AVX2] [tests/core/test_ppo.py]

MKL and ATen choose their kernels by what the processor can do, and a sum in another order differs in its last bit.
Both can be told to do without what this processor has, so that a test which holds on one machine by luck shows here.
"""

import argparse
import os
import subprocess
import sys
from itertools import product

UNSET = "unset"
MKL = (UNSET, "COMPATIBLE", "AVX2", "AVX512")
ATEN = (UNSET, "default", "avx2")  # ATen's "default" is code without vector instructions
THREADS = ("1", "2")


def main() -> int:
    """Return the number of settings under which a test failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mkl", action="append", choices=MKL, help="MKL_CBWR; may be given again; else all")
    parser.add_argument("--aten", action="append", choices=ATEN, help="ATEN_CPU_CAPABILITY, likewise")
    parser.add_argument("--threads", action="append", choices=THREADS, help="threads of torch, likewise")
    options, selection = parser.parse_known_args()  # all else goes to pytest
    failed = 0
    for mkl, aten, threads in product(options.mkl or MKL, options.aten or ATEN, options.threads or THREADS):
        chosen = {"MKL_CBWR": mkl, "ATEN_CPU_CAPABILITY": aten, "OMP_NUM_THREADS": threads, "TEST_THREADS": threads}
        print(" ".join(f"{name}={value}" for name, value in chosen.items()), flush=True)
        kept = {name: value for name, value in os.environ.items() if name not in chosen}
        environment = kept | {name: value for name, value in chosen.items() if value != UNSET}
        command = [sys.executable, "-m", "pytest", "-m", "not slow and not browser", *selection]
        failed += subprocess.run(command, env=environment).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
