"""Rows shared among threads, for compiled kernels that release the interpreter lock."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="recsys-kernel")


def share(work: Callable[[int, int], None], rows: int, *, worth: bool = True) -> None:
    """Calls ``work(a, b)`` on consecutive ranges that make up ``range(rows)``, one a thread, as many as torch uses.

    Each range must write its own part of the result, so that neither the number of threads nor their timing can change it. The
    threads are plain ones that sleep between calls: those of numba's parallel loops would spin against torch's.

    Args:
        worth: False: one call on this thread, where handing work over would cost more than it saves.
    """
    threads = torch.get_num_threads()
    if not worth or threads == 1 or rows < 2:
        work(0, rows)
        return
    edges = [rows * i // threads for i in range(threads + 1)]
    others = [_pool(threads).submit(work, a, b) for a, b in itertools.pairwise(edges[1:])]
    work(edges[0], edges[1])
    for other in others:
        other.result()
