"""Products of half width."""

from __future__ import annotations

import torch


def is_fast(device: torch.device) -> bool:
    """Whether products in bfloat16 are faster than in float32: on an accelerator, and on a CPU with instructions for them. Their terms are
    added up in float32; the result is rounded to bfloat16."""
    return device.type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
