"""Trains the tiny DINOv2 on drawn images without labels: `python -m demo.train_encoder --minutes 8`.

The objective is SimCLR's normalised temperature-scaled cross-entropy (Chen et al., 2020) on the [CLS] vector: two takes
of one scene are to be near each other and far from every other scene of the batch.
"""

import argparse
import copy
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from demo.captions import pretraining_scene
from demo.drawing import IMAGE_SIDE, Scene, draw
from demo.scenes import jitter, random_background
from demo.tiny_models import ENCODER_FOLDER, IMAGE_MEAN, IMAGE_STD, build_encoder, save_encoder

logger = logging.getLogger(__name__)


class DrawnPairs(IterableDataset[torch.Tensor]):
    """Endless stream of (2 * batch, 3, side, side) tensors; rows i and i + batch are two takes of one scene."""

    def __init__(self, *, seed: int, batch_size: int) -> None:
        self.seed, self.batch_size = seed, batch_size

    def __iter__(self) -> Iterator[torch.Tensor]:
        torch.set_num_threads(1)
        rng = np.random.default_rng(self.seed)
        mean, std = torch.tensor(IMAGE_MEAN).view(3, 1, 1), torch.tensor(IMAGE_STD).view(3, 1, 1)
        while True:
            scenes = [pretraining_scene(rng) for _ in range(self.batch_size)]
            takes = [crop(rng, draw(scene)) for scene in scenes]
            takes += [crop(rng, draw(second_take(rng, scene))) for scene in scenes]
            pixels = torch.from_numpy(np.stack([np.asarray(take) for take in takes])).permute(0, 3, 1, 2).float() / 255
            yield (pixels - mean) / std


def second_take(rng: np.random.Generator, scene: Scene) -> Scene:
    """Return the scene moved and lit a little differently, half of the time in front of another background.

    Without the changed background the vector would hardly need to say more than what the background looks like.
    """
    again = jitter(rng, scene, amount=float(rng.uniform(0.0, 2.0)))
    if rng.random() < 0.5:
        colors = [item.rgb for item in scene.items] + [bar.rgb for bar in scene.bars]
        if scene.sign is not None:
            colors.append(scene.sign.rgb)
        again = replace(again, background=random_background(rng, colors, plain=bool(scene.bars)))
    return again


def crop(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Cut off at most a sixth of each side and scale back to the full size."""
    side = float(rng.uniform(IMAGE_SIDE * 5 / 6, IMAGE_SIDE))
    left, top = rng.uniform(0, IMAGE_SIDE - side, 2)
    box = (float(left), float(top), float(left) + side, float(top) + side)
    return image.resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BILINEAR, box=box)


def contrastive_loss(vectors: torch.Tensor, *, temperature: float) -> torch.Tensor:
    """SimCLR's loss (Chen et al., 2020, Eq. 1).

    Args:
        vectors: (2 * batch, width) float; rows i and i + batch are two takes of one scene.
        temperature: Divides the cosines.

    Returns:
        The mean loss, a scalar; lower means that takes of one scene are told from other scenes.
    """
    batch = vectors.shape[0] // 2
    unit = functional.normalize(vectors.float(), dim=1)
    similarity = unit @ unit.T / temperature  # (2 * batch, 2 * batch)
    similarity.fill_diagonal_(float("-inf"))
    partner = torch.arange(2 * batch).roll(batch)
    return functional.cross_entropy(similarity, partner)


def train(options: argparse.Namespace) -> None:
    """Train and save; see `main` for the options."""
    torch.set_num_threads(options.threads)
    encoder = build_encoder(seed=options.seed)
    # Measured: on short sequences plain attention is faster on CPU than the fused kernel.
    encoder.set_attn_implementation("eager")
    width = encoder.config.hidden_size
    head = nn.Sequential(nn.Linear(width, 256), nn.GELU(), nn.Linear(256, 64))
    averaged = copy.deepcopy(encoder)
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=0.02, betas=(0.9, 0.98))
    batches = iter(
        DataLoader(DrawnPairs(seed=options.seed, batch_size=options.batch_size), batch_size=None, num_workers=1)
    )
    start = time.monotonic()
    step, progress = 0, 0.0
    encoder.train()
    while progress < 1.0:
        rate = options.learning_rate * min(1.0, step / 50, max(0.02, (1.0 - progress) / 0.5))
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", dtype=torch.bfloat16):
            vectors = head(encoder(next(batches)).last_hidden_state[:, 0])  # (2 * batch, 64)
        loss = contrastive_loss(vectors, temperature=options.temperature)
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves Tensor.backward untyped
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        with torch.no_grad():
            for mean, current in zip(averaged.parameters(), encoder.parameters(), strict=True):
                mean.lerp_(current, 1.0 - min(0.99, step / (step + 10)))
        elapsed = time.monotonic() - start
        progress = step / options.steps if options.steps else elapsed / (60 * options.minutes)
        if step % options.log_every == 0:
            logger.info("step %d, %.1f min, loss %.4f", step, elapsed / 60, loss.item())
    save_encoder(averaged, options.out)
    logger.info("saved %s after %d steps and %.1f minutes", options.out, step, (time.monotonic() - start) / 60)


def main() -> None:
    """Command line of the training."""
    parser = argparse.ArgumentParser(description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=8.0, help="train this long (default)")
    length.add_argument("--steps", type=int, default=0, help="train this many steps instead, the same on every machine")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=128, help="scenes per step")
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    parser.add_argument("--temperature", type=float, default=0.1)
    parser.add_argument("--log-every", type=int, default=20)
    parser.add_argument("--out", type=Path, default=ENCODER_FOLDER)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train(options)


if __name__ == "__main__":
    main()
