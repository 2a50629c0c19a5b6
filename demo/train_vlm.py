"""Trains the tiny LLaVA on drawn images.

One process: `python -m demo.train_vlm --minutes 35`. Two processes with one thread each, which is faster on two cores
that are shared with other work: `torchrun --nproc-per-node 2 -m demo.train_vlm --threads 1 --batch-size 32`.
"""

import argparse
import copy
import logging
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import distributed, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import LlavaForConditionalGeneration

from demo.conversation_stream import IGNORED, Batch, DrawnConversations, packed_mask
from demo.patch_labels import PATCH_CLASSES
from demo.tiny_models import VLM_FOLDER, build_vlm, save_vlm

logger = logging.getLogger(__name__)


class PatchHeads(nn.Module):
    """Linear classifiers on the patch features; they make the vision tower learn sooner and are thrown away after."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(width, classes) for classes in PATCH_CLASSES)

    def loss(self, features: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        """Sum of the cross-entropies, empty patches counted a tenth."""
        total = features.new_zeros(())
        for column, head in enumerate(self.heads):
            weight = torch.ones(PATCH_CLASSES[column])
            weight[0] = 0.1
            scores = head(features).float().flatten(0, 1)  # (batch * patches, classes)
            total = total + functional.cross_entropy(scores, patches[:, column].flatten(), weight=weight)
        return total


def losses(
    model: LlavaForConditionalGeneration, heads: PatchHeads, batch: Batch, *, vision_only: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Language-model loss per response token and patch loss of one batch; the first is 0 when `vision_only`."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        tower = model.model.vision_tower(batch.pixels).last_hidden_state[:, 1:]  # (batch, patches, width)
        patch_loss = heads.loss(tower, batch.patches)
        if vision_only:
            return patch_loss.new_zeros(()), patch_loss
        images = model.model.multi_modal_projector(tower)  # (batch, patches, hidden)
        embedded = model.get_input_embeddings()(batch.tokens).to(images.dtype)
        where = (batch.tokens == model.config.image_token_index)[..., None].expand_as(embedded)
        embedded = embedded.masked_scatter(where, images)
        hidden = model.model.language_model(
            inputs_embeds=embedded,
            attention_mask=packed_mask(batch.segments, embedded.dtype),
            position_ids=batch.positions,
            use_cache=False,
        ).last_hidden_state  # (batch, length, hidden)
        targets = batch.labels[:, 1:]
        scored = targets != IGNORED
        logits = model.lm_head(hidden[:, :-1][scored])  # (response tokens, vocabulary)
    return functional.cross_entropy(logits.float(), targets[scored]), patch_loss


def learning_rate(progress: float, peak: float) -> float:
    """Short warm-up, flat, then linear to 2 % of the peak over the last 30 % of the run."""
    if progress < 0.01:
        return peak * max(progress / 0.01, 0.02)
    return peak * min(1.0, max(0.02, (1.0 - progress) / 0.3))


def average_over_processes(parameters: list[nn.Parameter], numbers: list[float]) -> list[float]:
    """Average the gradients, and a few numbers along with them, over all training processes.

    Args:
        parameters: Parameters whose gradients are replaced by their mean; those without a gradient are left alone.
        numbers: More numbers to average.

    Returns:
        The averaged numbers, the same in every process.
    """
    if not distributed.is_initialized():
        return numbers
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), torch.tensor(numbers)])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    parts = flat.split([*(gradient.numel() for gradient in gradients), len(numbers)])  # type: ignore[no-untyped-call] # torch leaves Tensor.split untyped
    for gradient, part in zip(gradients, parts, strict=False):
        gradient.copy_(part.view_as(gradient))
    averaged: list[float] = parts[-1].tolist()
    return averaged


def train(options: argparse.Namespace, *, process: int, processes: int) -> None:
    """Train and save; see `main` for the options."""
    torch.set_num_threads(options.threads)
    model = build_vlm(seed=options.seed)
    if options.resume:
        model = LlavaForConditionalGeneration.from_pretrained(options.resume, dtype=torch.float32)
    # Measured: on short sequences without a mask plain attention is faster on CPU than the fused kernel.
    model.model.vision_tower.set_attn_implementation("eager")
    heads = PatchHeads(model.config.vision_config.hidden_size)
    averaged = copy.deepcopy(model)
    parameters = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=0.02, betas=(0.9, 0.98))
    stream = DrawnConversations(
        seed=options.seed + 1000 * process, batch_size=options.batch_size, tokens=options.tokens
    )
    batches = iter(DataLoader(stream, batch_size=None, num_workers=1, prefetch_factor=16))
    start = saved = time.monotonic()
    step, progress = 0, 0.0
    smooth = np.zeros(2)
    model.train()
    while progress < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(progress, options.learning_rate)
        vision_only = progress < options.vision_share
        language_loss, patch_loss = losses(model, heads, next(batches), vision_only=vision_only)
        (language_loss + options.patch_weight * patch_loss).backward()
        step += 1
        now = time.monotonic()
        progress = step / options.steps if options.steps else (now - start) / (60 * options.minutes)
        progress, *last = average_over_processes(parameters, [progress, language_loss.item(), patch_loss.item()])
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for mean, current in zip(averaged.parameters(), model.parameters(), strict=True):
                mean.lerp_(current, 1.0 - min(0.99, step / (step + 10)))
        smooth += max(0.02, 1 / step) * (np.array(last) - smooth)
        if process == 0 and step % options.log_every == 0:
            speed = step * options.batch_size * processes / (now - start)
            logger.info("step %d, %.1f min, %.0f images/s, language loss %.4f, patch loss %.4f",
                        step, (now - start) / 60, speed, *smooth)  # fmt: skip
        if process == 0 and now - saved > 60 * options.save_minutes:
            save_vlm(averaged, options.out)
            saved = now
    if process == 0:
        save_vlm(averaged, options.out)
        logger.info("saved %s after %d steps and %.1f minutes", options.out, step, (time.monotonic() - start) / 60)


def main() -> None:
    """Command line of the training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=35.0, help="train this long (default)")
    length.add_argument("--steps", type=int, default=0, help="train this many steps instead, the same on every machine")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64, help="images per step and process")
    parser.add_argument("--tokens", type=int, default=192, help="tokens per row, image and conversations together")
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    parser.add_argument("--patch-weight", type=float, default=0.3, help="weight of the per-patch labels")
    parser.add_argument("--vision-share", type=float, default=0.12, help="first part of the run, patch labels alone")
    parser.add_argument("--save-minutes", type=float, default=2.0)
    parser.add_argument("--log-every", type=int, default=50)
    parser.add_argument("--resume", type=Path, default=None, help="folder with weights to start from")
    parser.add_argument("--out", type=Path, default=VLM_FOLDER)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # Both variables are set by torchrun.
    process, processes = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1:
        distributed.init_process_group("gloo")
    train(options, process=process, processes=processes)


if __name__ == "__main__":
    main()
