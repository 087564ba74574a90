"""What becomes of freed memory, each in a process of its own, since the setting outlasts a test."""

import subprocess
import sys

import pytest

ROUNDS, NUMBERS = 20, 500_000
"""NUMBERS of 8 bytes are a thousand pages, far above the 32 that glibc gives back at once."""

PROGRAM = f"""
import resource, sys
import numpy as np
from lsm.heap import keep_freed

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({ROUNDS}):
        first, second = np.ones({NUMBERS}), np.ones({NUMBERS})
        del first, second
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "kept":
    assert keep_freed()
faults()
print(faults())
"""


def faults_of(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone is told what to keep")
def test_freed_memory_is_used_again_without_a_page_being_cleared():
    # one page a round for whatever else the interpreter does; without it every page of every array is cleared
    assert faults_of("kept") <= ROUNDS
    assert faults_of("usual") > ROUNDS * NUMBERS * 8 // 4096


def test_torch_threads_soon_sleep_while_they_wait_unless_told_otherwise():
    program = "import os, lsm; print(os.environ.get('GOMP_SPINCOUNT'))"
    for told, found in (({}, "3000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")):
        done = subprocess.run([sys.executable, "-c", program], env=told, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == found
