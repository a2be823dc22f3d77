"""What a scan of delimited text marks: records that are malformed, and why."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLANK, FIELDS, ZERO, INSIDE, AFTER, UNCLOSED = 1, 2, 3, 4, 5, 6
REASONS = {
    ZERO: "the line holds a zero byte: mend it",
    INSIDE: "a quotation mark stands inside a field: quote the whole field and double the mark",
    AFTER: "text follows a closing quotation mark: double the marks inside a quoted field",
    UNCLOSED: "a quotation mark is never closed: close it, or double it if it is part of the text",
}
QUOTED_LIMIT = 1 << 20  # bytes of a record with quoted fields; a mark that is not closed by then counts as never closed


def room(size: int) -> NDArray[np.int64]:
    """An array for the cuts of a block of ``size`` bytes; the operating system gives memory only to the part that is used."""
    return np.empty((size // 4 + 16, 5), dtype=np.int64)
