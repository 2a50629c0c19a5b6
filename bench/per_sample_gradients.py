"""Gradients: ours in batches against one backward pass per sample (`python -m bench.per_sample_gradients`)."""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model

from bench.instruction_relevance_score import draw_samples
from bench.results import Row, out_option, publish
from components.models.features.extract_gradients import project_gradients
from components.models.features.per_sample_gradients import attention_lora_matrices
from components.models.features.random_projection import RandomProjection
from components.models.vlm.collate import collate
from components.models.vlm.labels import EncodedSample, encode
from components.models.vlm.language_model import language_model_linear_names
from components.models.vlm.load import LoadedVlm, load_vlm
from components.parameters.parameters import VlmParameters
from components.pool.images import load_image

_PIXEL_LIMIT = 10_000_000


def one_by_one(vlm: LoadedVlm, encoded: Sequence[EncodedSample], dimension: int) -> NDArray[np.float64]:
    """A backward pass per sample and a dense projection matrix, as the released code is described; norms."""
    weights = [matrix.weight for matrix in attention_lora_matrices(vlm).values()]
    size = sum(weight.numel() for weight in weights)
    matrix = torch.randn(size, dimension, generator=torch.Generator().manual_seed(0)) / dimension**0.5  # (p, d)
    norms = []
    for sample in encoded:
        for weight in weights:
            weight.requires_grad = True
        loss = vlm.bare_model(**collate(vlm, [sample])).loss
        flat = torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, weights)])  # (p,)
        norms.append(float(flat.norm()))
        (flat @ matrix).numpy()
    for weight in weights:
        weight.requires_grad = False
    return np.array(norms)


def in_batches(vlm: LoadedVlm, encoded: Sequence[EncodedSample], dimension: int, size: int) -> NDArray[np.float64]:
    """The component; norms."""
    projection = RandomProjection(dimension, seed=0, device=vlm.device)
    order = sorted(range(len(encoded)), key=lambda at: len(encoded[at].input_ids))
    norms = np.empty(len(encoded))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        norms[rows] = project_gradients(vlm, [encoded[at] for at in rows], projection)[1]
    return norms


def main(arguments: Sequence[str] | None = None) -> None:
    """Time both on the same samples; the norms must agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo/models/tiny-llava", help="folder of the model")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rank", type=int, default=32, help="of LoRA")
    parser.add_argument("--dimension", type=int, default=512, help="numbers a gradient is projected to")
    out_option(parser)
    options = parser.parse_args(arguments)
    parameters = VlmParameters(
        model=options.model,
        revision=None,
        context_length=512,
        device="cpu",
        dtype="float32",
        max_pixels=None,
        template_arguments={},
    )
    base = load_vlm(parameters)
    torch.manual_seed(0)
    adapted = get_peft_model(
        base.model, LoraConfig(r=options.rank, target_modules=language_model_linear_names(base.model))
    )
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.02)
    vlm = replace(base, model=adapted.eval())
    with tempfile.TemporaryDirectory() as folder:
        samples = draw_samples(Path(folder), options.samples, side=64, seed=0)
        encoded = [
            encode(vlm, sample, load_image(sample.uri, image_sha="", pixel_limit=_PIXEL_LIMIT)) for sample in samples
        ]
    publish(_time(vlm, encoded, options.dimension, options.batch_size), packages=("torch", "peft"), out=options.out)


Method = Callable[[Sequence[EncodedSample]], NDArray[np.float64]]


def _time(vlm: LoadedVlm, encoded: Sequence[EncodedSample], dimension: int, size: int) -> list[Row]:
    methods: dict[str, Method] = {
        "one backward pass per sample": lambda some: one_by_one(vlm, some, dimension),
        f"ours, batches of {size}": lambda some: in_batches(vlm, some, dimension, size),
    }
    rows: list[Row] = []
    reference: NDArray[np.float64] | None = None
    for name, method in methods.items():
        method(encoded[:2])  # the first call pays for what is set up once
        start = time.perf_counter()
        norms = method(encoded)
        seconds = time.perf_counter() - start
        reference = norms if reference is None else reference
        if not np.allclose(norms, reference, rtol=1e-3):
            raise SystemExit("the norms do not agree")
        rows.append(
            {
                "method": name,
                "samples per second": len(encoded) / seconds,
                "speed-up": float(rows[0]["seconds"]) / seconds if rows else 1.0,
                "seconds": seconds,
                "largest relative difference of a norm": float(np.abs(norms / reference - 1).max()),
            }
        )
    return rows


if __name__ == "__main__":
    main()
