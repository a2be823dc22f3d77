"""Freed blocks are used again: counted in page faults, in processes of their own, as the setting is a process's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import resource, torch
from recsys.memory import keep_freed
kept = keep_freed()
for _ in range(2):
    torch.ones(20_000_000)  # 80 MB, freed at once
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(20_000_000)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(**variables: str) -> tuple[bool, int]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    told = subprocess.run([sys.executable, "-c", SCRIPT], env=clean | variables, capture_output=True, text=True, check=True).stdout.split()
    return told[0] == "True", int(told[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_large_blocks_are_not_faulted_in_again() -> None:
    """Twenty blocks have 390,640 pages. Some are faulted in where the heap moves or idle pages are taken back: the best of three."""
    found = [run() for _ in range(3)]
    assert all(kept for kept, _ in found) and min(faults for _, faults in found) < 100_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_what_the_user_set_stays() -> None:
    kept, faults = run(MALLOC_MMAP_THRESHOLD_="1000000")
    assert not kept and faults > 300_000
