"""Faults in the processes of a worker that has this folder on its path; one is on while a file of its name exists.

Python imports a module of this name as it starts. Nothing of the project is changed for it, so no stage notices.
"""

import errno
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

FAULTS = Path(os.environ["PRESEL_TEST_FAULTS"])
KEPT_VECTORS = 40
UPDATES = 2


def short_pauses(module: ModuleType) -> None:
    module.BACK_OFF_SECONDS = (0.1, 0.1, 0.1)  # type: ignore[attr-defined]


def full_disk(module: ModuleType) -> None:
    """The disk is full after so many vectors."""
    append: Callable[..., None] = module.LanceStore.append

    def append_some(store: Any, names: Sequence[str], vectors: Any, extra: Any = None) -> None:
        if not (FAULTS / "full_disk").exists():
            append(store, names, vectors, extra)
            return
        append(store, names[:KEPT_VECTORS], vectors[:KEPT_VECTORS], extra)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    module.LanceStore.append = append_some


def out_of_memory(module: ModuleType) -> None:
    """The GPU's memory does not suffice after so many updates of the final tune."""
    import torch

    trainer = module.Trainer
    step = trainer.training_step

    def training_step(self: Any, *arguments: Any, **named: Any) -> Any:
        late = "/tune-" in self.args.output_dir and self.state.global_step >= UPDATES
        if late and (FAULTS / "out_of_memory").exists():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return step(self, *arguments, **named)

    trainer.training_step = training_step


CHANGES: dict[str, Callable[[ModuleType], None]] = {
    "tasks.platform.failures": short_pauses,
    "components.models.lance_store": full_disk,
    "components.models.training.train": out_of_memory,
}


class ChangingLoader(importlib.abc.Loader):
    """Loads a module as its own loader does, then changes it."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        CHANGES[module.__name__](module)


class ChangingFinder(importlib.abc.MetaPathFinder):
    """Finds the modules that a fault is in."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in CHANGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = ChangingLoader(spec.loader)
        return spec


sys.meta_path.insert(0, ChangingFinder())
