"""What becomes of freed memory."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

KEPT = 1 << 30
"""Bytes: blocks up to this size are used again."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@cache
def keep_freed() -> bool:
    """Let the C library use freed blocks of up to 1 GiB again; whether it will.

    By default glibc returns every block above 32 MiB to the system at once, so that the next one is faulted in page by page and filled
    with zeros first: a third of the time of a step that scores the whole catalogue for a batch. For the whole process, from the first
    call on. Nothing is changed where the variables of glibc's allocator are set, or where the C library is another.
    """
    given = [name for name in os.environ if name.startswith("MALLOC_") or name == "GLIBC_TUNABLES"]
    if given or not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # musl and others have none
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, KEPT)) and bool(mallopt(_M_TRIM_THRESHOLD, KEPT))
