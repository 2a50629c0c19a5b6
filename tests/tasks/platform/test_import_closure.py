"""A stage depends on all the code that its module imports, and on nothing that decides no output."""

from pathlib import Path

import pytest

from tasks.platform.import_closure import NOT_DECIDING, code_of, does_not_decide
from tests.imports_of import ROOT

FILES = {
    "tasks/paint.py": "from components.paint.mix import mix\nfrom tasks.platform.stage import stage\n",
    "tasks/platform/stage.py": "import components.unseen\n",
    "components/paint/__init__.py": "",
    "components/paint/mix.py": "def mix():\n    from components import colours\n    import numpy\n",
    "components/paint/page.html": "<html>",
    "components/paint/.page.html.swp": "",
    "components/paint/beside.py": "",
    "components/__init__.py": "",
    "components/colours.py": "if TYPE_CHECKING:\n    import components.light\n",
    "components/light.py": "",
    "components/unseen.py": "",
}


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def test_the_closure_holds_what_is_imported_anywhere_and_what_lies_beside_it(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    assert code_of("tasks.paint", "presel", root=tmp_path) == (
        "components/colours.py",
        "components/light.py",
        "components/paint/mix.py",
        "components/paint/page.html",
        "tasks/paint.py",
    )


def test_an_import_that_is_added_is_followed_at_once(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    before = code_of("tasks.paint", "presel", root=tmp_path)
    write(tmp_path, {"components/light.py": "import components.paint.beside\n"})
    assert set(code_of("tasks.paint", "presel", root=tmp_path)) - set(before) == {"components/paint/beside.py"}


def test_a_stage_that_asks_its_strategy_depends_on_that_strategy_alone(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    write(
        tmp_path,
        {
            "components/colours.py": "from components.strategies.load import load_strategy\n",
            "components/strategies/load.py": "",
            "components/strategies/one/strategy.py": "import components.light\n",
            "components/strategies/two/strategy.py": "",
        },
    )
    one, two = (set(code_of("tasks.paint", name, root=tmp_path)) for name in ("one", "two"))
    assert one - two == {"components/strategies/one/strategy.py", "components/light.py"}
    assert two - one == {"components/strategies/two/strategy.py"}


def test_a_strategys_templates_are_those_of_its_report_alone(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    write(
        tmp_path,
        {
            "components/colours.py": "import components.strategies.one.formula\n",
            "components/light.py": "from components.report.strategy_report import load_strategy_report\n",
            "components/report/strategy_report.py": "",
            "components/strategies/one/formula.py": "",
            "components/strategies/one/report.html": "<p>",
            "components/strategies/one/report.py": "",
            "components/strategies/two/report.py": "import components.strategies.one.formula\n",
        },
    )
    of_formula, of_report = (set(code_of(name, "one", root=tmp_path)) for name in ("tasks.paint", "components.light"))
    assert of_formula & {"components/strategies/one/formula.py", "components/strategies/one/report.html"} == {
        "components/strategies/one/formula.py"
    }
    assert {"components/strategies/one/report.py", "components/strategies/one/report.html"} < of_report
    of_other = code_of("components.light", "two", root=tmp_path)
    assert "components/strategies/one/report.html" in of_other, "what it shows with may lie beside what it imports"


def test_a_relative_import_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {**FILES, "components/light.py": "from .paint import mix\n"})
    with pytest.raises(ValueError, match="write the whole name"):
        code_of("tasks.paint", "presel", root=tmp_path)


@pytest.mark.parametrize("pattern", NOT_DECIDING)
def test_what_is_left_out_is_there(pattern: str) -> None:
    files = [str(path.relative_to(ROOT)) for name in ("components", "tasks") for path in (ROOT / name).rglob("*.py")]
    assert any(Path(file).match(pattern) and does_not_decide(file) for file in files)
