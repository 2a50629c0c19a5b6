"""GPU memory that a stage leaves behind: torch keeps what it once took for itself, and faiss then finds none."""

import gc
import sys


def free_gpu_memory() -> None:
    """Give what torch holds and nothing uses back to the GPU; where torch is not imported, it holds nothing."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()
