"""dvc.yaml, made from what the stages of a strategy declare."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from components.strategies.load import load_strategy
from components.strategies.strategy import Strategy
from tasks.platform.declaration import StageDeclaration
from tasks.platform.import_closure import code_of, project_imports
from tasks.stages import declarations_of

_HEADER = """\
# Written by `presel pipeline --write` from the declarations in tasks/; a change made here is lost.
# What each stage reads, which parameters and code it depends on, what it writes. Prefect's cache keys are made of
# exactly this, so `presel run` and `dvc repro` agree on what is up to date.
# data/earlier is what a recuration goes on from, nothing in a curation from scratch; `presel recurate` writes it.
# data/inputs/*.json are snapshots of what lies outside the project's artifacts (sources, models, annotations); every
# `presel run` brings them up to date.
"""


def pipeline_text(strategy: str, folder: Path = Path()) -> str:
    """The dvc.yaml of a workspace.

    Args:
        strategy: whose stages.
        folder: of the workspace, relative to the project root, which is the working directory: code is named by its
            path from there.

    Returns:
        YAML; the stages in the order in which they run, of each its data in the declared order, then its code, sorted.
    """
    facts = load_strategy(strategy)
    imports = cache(project_imports)  # stages have most of their code in common
    stages = (
        yaml.safe_dump({stage.name: _entry(stage, facts, folder, imports)}, sort_keys=False, width=120)
        for stage in declarations_of(strategy)
    )
    return _HEADER + "stages:\n" + "\n".join("".join(f"  {line}\n" for line in text.splitlines()) for text in stages)


def _entry(
    declaration: StageDeclaration, strategy: Strategy, folder: Path, imports: Callable[..., tuple[str, ...]]
) -> dict[str, Any]:
    data = [f"data/{path}" for path in declaration.reads_of(strategy)]
    held = code_of(declaration.module, strategy.name, imports=imports)
    code = [os.path.relpath(path, folder) for path in held]
    written = f"data/{declaration.writes}"
    parameters = list(declaration.parameters_of(strategy))
    body = {
        "desc": declaration.description,
        "cmd": f"python -m flows.stage {declaration.instance('${item}')}",
        "deps": data + code,
        **({"params": parameters} if parameters else {}),
        "outs": [{written: {"persist": True}} if declaration.persist else written],
    }
    return {"foreach": "${baselines}", "do": body} if declaration.each_baseline else body
