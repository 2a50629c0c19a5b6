"""Which modules of the project a module imports, at any level of its code."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]


def python_files(package: str) -> list[Path]:
    """All modules of a package, relative to the project root."""
    return sorted(path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py"))


def imported_names(path: Path) -> set[str]:
    """Dotted names that a file imports; `from a import b` gives `a` and `a.b`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names
