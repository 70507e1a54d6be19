"""Let the C library keep memory pages that it has touched, instead of handing large blocks back at once."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
_LARGEST_MMAP_THRESHOLD = 32 * 2**20  # bytes; glibc refuses more on 64-bit machines
_KEEP = 2**31 - 1  # bytes of free memory at the top of the heap that are kept


@cache
def keep_pages() -> bool:
    """Raise glibc's malloc thresholds, once per process; True where that was possible (Linux with glibc).

    By default every temporary above a few hundred kilobytes is mapped fresh and unmapped when freed, and the kernel
    zeroes its pages again at each use. In a training loop that makes the same tensors over and over this is a large
    part of the time, above all on virtual machines. Nothing but speed and the memory held between steps changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library: nothing to do
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD) and mallopt(_M_TRIM_THRESHOLD, _KEEP))
