"""Where a model computes and in which precision."""

import torch


def resolve_device(device: str, *, parameter: str) -> torch.device:
    """Turn a parameter `device` into a device: `auto` is the GPU where there is one.

    Args:
        device: auto, cpu, cuda or cuda:N.
        parameter: its name, for the message.

    Raises:
        ValueError: a GPU is asked for that is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    resolved = torch.device(device)
    found = torch.cuda.device_count()
    if resolved.type == "cuda" and (resolved.index or 0) >= found:
        raise ValueError(f"{parameter} is {device!r}, but torch finds {found or 'no'} GPU here; set it to auto or cpu")
    return resolved


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """Turn a parameter `dtype` into a type: `auto` is bfloat16 on a GPU and float32 on a CPU."""
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if dtype == "bfloat16" else torch.float32
