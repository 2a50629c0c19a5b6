"""What the documents name is there: files, headings, commands and their options, parameters, targets of make."""

import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
import yaml

from flows.command_line.main import app
from tests.imports_of import ROOT

FOLDERS = ("bench", "components", "conf", "demo", "docs", "flows", "infra", "tasks", "tests")
DOCUMENTS = sorted({*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))})
FILES = [
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*")))
]
SUFFIXES = ("py", "parquet", "html", "csv")
USERS_OWN = "my-"  # parameter files of a user: conf/my-data.yaml
PARAMETERS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
documents = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())


def quoted(document: Path) -> Iterator[str]:
    """What stands between backticks, outside blocks of code."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    yield from (" ".join(words.split()) for words in re.findall(r"`([^`]+)`", text))


def anchors(document: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@documents
def test_links_lead_somewhere(document: Path) -> None:
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target))):
            wrong.append(link)
    assert wrong == []


@documents
def test_files_named_are_there(document: Path) -> None:
    """A path may be named by its end; NAME and * stand for anything."""
    wrong = []
    for words in quoted(document):
        looks_like_one = re.fullmatch(r"[\w./*-]+\.(py|sh)|(" + "|".join(FOLDERS) + r")/[\w./*-]*", words)
        if looks_like_one and USERS_OWN not in words:
            path = words.rstrip("/").replace("NAME", "*")
            ends = (path, f"*/{path}", f"{path}.py")
            if not any(fnmatch.fnmatchcase(file, end) for file in FILES for end in ends):
                wrong.append(words)
    assert wrong == []


@documents
def test_parameters_named_are_in_params_yaml(document: Path) -> None:
    wrong = []
    for words in quoted(document):
        named = re.fullmatch(r"([a-z_]+)\.([a-z_.]+)(: .*)?", words)
        if named and isinstance(PARAMETERS.get(named[1]), dict) and named[2].split(".")[-1] not in SUFFIXES:
            section = PARAMETERS[named[1]]
            for key in named[2].split("."):
                if not isinstance(section, dict) or key not in section:
                    wrong.append(words)
                    break
                section = section[key]
    assert wrong == []


@documents
def test_commands_and_options_named_exist(document: Path) -> None:
    wrong = []
    for line in re.findall(r"(?:^ {4}\$? ?|`)(presel .*?)(?:`|  +|#|$)", document.read_text("utf-8"), re.MULTILINE):
        words = line.replace("|", " ").split()[1:]
        command = COMMANDS.get(words[0].strip(",")) if words else None
        if command is not None and words[1:] and words[1] in getattr(command, "commands", {}):
            command = command.commands[words[1]]
        known = {} if command is None else {name for option in command.params for name in option.opts}
        options = {word.split("=")[0].rstrip(",.") for word in words if word.startswith("--")}
        if command is None or not options <= {*known, *(f"--no-{name[2:]}" for name in known)}:
            wrong.append(line)
    assert wrong == []


@documents
def test_targets_of_make_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z -]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    known = {target for line in targets for target in line.split()}
    named = set(re.findall(r"(?:^ {4}|`)make ([a-z-]+)", document.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= known
