"""The code that a stage's output depends on: what the module of its body imports, directly or not."""

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path, PurePosixPath

_PACKAGES = ("components", "tasks")
# The one place that says what does not decide an output, and why.
NOT_DECIDING = {
    "tasks/platform/*": "runs, caches, tracks and shows stages: what they compute comes out of their bodies",
    "components/parameters/*": "declares parameters: their values are compared by themselves",
    "components/strategies/*/parameters.py": "declares parameters, as the above",
    "components/strategies/names.py": "lists the strategies: another one changes none of the others",
    "components/compute/*": "carries out work that gives the same bytes wherever that is, and tells how far it is",
    "components/models/training/launch*.py": "starts the processes that share a tune: what they do is another file's",
    "*/__init__.py": "says what a package holds; it has no code",
}
# What these import of a strategy by its name, which no import statement shows.
_LOADED = {
    "components/strategies/load.py": "components/strategies/{}/strategy.py",
    "components/report/strategy_report.py": "components/strategies/{}/report.py",
}
# Of what a strategy's package holds, the report alone reads what is not Python.
_STRATEGY, _REPORT = "components/strategies/*", "components/report/strategy_report.py"


def project_imports(path: str, *, root: Path = Path()) -> tuple[str, ...]:
    """Files of components/ and tasks/ that a file imports directly, relative to the root."""
    file = (root / path).absolute()
    stamp = file.stat()
    names = _imported_names(file, stamp.st_mtime_ns, stamp.st_size)
    return tuple(
        candidate
        for name in names
        if name.split(".")[0] in _PACKAGES
        for candidate in (f"{name.replace('.', '/')}.py", f"{name.replace('.', '/')}/__init__.py")
        if (root / candidate).is_file()
    )


def code_of(
    module: str,
    strategy: str,
    *,
    root: Path = Path(),
    imports: Callable[..., tuple[str, ...]] = project_imports,
) -> tuple[str, ...]:
    """The files that decide what a stage writes.

    Imports anywhere in a file count, inside functions and for types alone too. What lies beside a module and is not
    Python, such as a template, belongs to it. A stage that asks its strategy depends on the strategy's own package.

    Args:
        module: dotted name of the module that holds the stage's body.
        strategy: of the run.
        root: folder of the project.
        imports: `project_imports`, or one that remembers, for who asks for several modules.

    Returns:
        Paths relative to the root, sorted.
    """
    start = module.replace(".", "/") + ".py"
    found, todo = set[str](), [start]
    while todo:
        current = todo.pop()
        if current in found or does_not_decide(current):
            continue
        found.add(current)
        todo += imports(current, root=root)
        if current in _LOADED:
            todo.append(_LOADED[current].format(strategy))
    folders = {str(PurePosixPath(path).parent) for path in found}
    if _REPORT not in found:
        folders = {folder for folder in folders if not PurePosixPath(folder).match(_STRATEGY)}
    return tuple(sorted(found | {file for folder in folders for file in _beside(folder, root)}))


@cache
def does_not_decide(path: str) -> bool:
    """Whether a change of a file of the project changes no stage's output."""
    return any(PurePosixPath(path).match(pattern) for pattern in NOT_DECIDING)


@cache
def _imported_names(file: Path, _modified: int, _size: int) -> tuple[str, ...]:
    """Dotted names that a file imports; `from a import b` gives `a` and `a.b`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise ValueError(f"{file} imports by a relative name; write the whole name of the module")
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return tuple(sorted(names))


def _beside(folder: str, root: Path) -> Iterator[str]:
    for file in (root / folder).iterdir():
        if file.is_file() and file.suffix not in (".py", ".pyc") and not file.name.startswith("."):
            yield f"{folder}/{file.name}"
