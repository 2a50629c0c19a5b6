"""What `make setup` installs with: uv, told what pip is told, and pip where uv cannot."""

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.imports_of import ROOT

BUILDS_ITSELF = {
    "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "build"\nbackend-path = ["."]\n',
    "build.py": "raise SystemExit('it was built')\n",
}


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A folder that holds the one package `presel_toy`, which no index has."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    about = "presel_toy-1.0.dist-info"
    with zipfile.ZipFile(folder / "presel_toy-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("presel_toy.py", "FROM = 'the mirror'\n")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: presel_toy\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    return folder


def install(into: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    empty = into.parent / "empty"
    empty.mkdir(exist_ok=True)
    environment = {**ours, "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": empty.as_uri(), **settings}
    command = [sys.executable, "infra/install.py", "--target", str(into), "presel_toy"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def installer_of(folder: Path) -> str:
    return next(folder.glob("*.dist-info/INSTALLER")).read_text().strip()


def test_uv_installs_from_where_pip_would(mirror: Path, tmp_path: Path) -> None:
    done = install(tmp_path / "installed", PIP_FIND_LINKS=str(mirror))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "installed/presel_toy.py").is_file()
    assert installer_of(tmp_path / "installed") == "uv"
    assert done.stderr == ""


def test_a_setting_of_a_file_counts_and_a_variable_is_before_it(mirror: Path, tmp_path: Path) -> None:
    settings = tmp_path / "pip.conf"
    settings.write_text(f"[global]\nfind-links =\n    {mirror}\n    {tmp_path}\n")
    assert installer_of_install(tmp_path / "one", PIP_CONFIG_FILE=str(settings)) == "uv"
    settings.write_text(f"[global]\nfind-links = {tmp_path}/absent\n[install]\nfind-links = {mirror}\n")
    assert installer_of_install(tmp_path / "two", PIP_CONFIG_FILE=str(settings)) == "uv"
    settings.write_text(f"[install]\nfind-links = {tmp_path}/absent\n")
    assert installer_of_install(tmp_path / "three", PIP_CONFIG_FILE=str(settings), PIP_FIND_LINKS=str(mirror)) == "uv"


def installer_of_install(into: Path, **settings: str) -> str:
    done = install(into, **settings)
    assert done.returncode == 0, done.stderr
    return installer_of(into)


def test_where_uv_cannot_pip_does_and_it_is_said(mirror: Path, tmp_path: Path) -> None:
    """Here uv has a setting of its own, which stays and names a folder without the package."""
    done = install(tmp_path / "installed", PIP_FIND_LINKS=str(mirror), UV_FIND_LINKS=str(tmp_path / "empty"))
    assert done.returncode == 0, done.stderr
    assert "uv did not install the packages" in done.stderr
    assert installer_of(tmp_path / "installed") == "pip"


def test_what_nobody_can_install_ends_with_an_error(tmp_path: Path) -> None:
    done = install(tmp_path / "installed")
    assert done.returncode != 0
    assert "presel_toy" in done.stderr


@pytest.mark.parametrize(("name", "value"), [("PIP_QUIET", "3"), ("PIP_VERBOSE", "3")])
def test_a_pip_that_says_less_or_more_is_understood(mirror: Path, tmp_path: Path, name: str, value: str) -> None:
    done = install(tmp_path / "installed", PIP_FIND_LINKS=str(mirror), **{name: value})
    assert done.returncode == 0, done.stderr
    assert installer_of(tmp_path / "installed") == "uv"


def test_no_index_is_asked_where_pip_may_ask_none(mirror: Path, tmp_path: Path) -> None:
    """Nothing answers at the index: asking it is an error."""
    nobody = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"}
    for number, yes in enumerate(("1", "true")):
        done = install(tmp_path / str(number), PIP_FIND_LINKS=str(mirror), PIP_NO_INDEX=yes, **nobody)
        assert (done.returncode, done.stderr) == (0, "")
        assert installer_of(tmp_path / str(number)) == "uv"


def test_nothing_is_built_where_pip_may_not_build(mirror: Path, tmp_path: Path) -> None:
    (mirror / "presel_toy-1.0-py3-none-any.whl").unlink()
    with tarfile.open(mirror / "presel_toy-1.0.tar.gz", "w:gz") as sources:
        for name, text in BUILDS_ITSELF.items():
            member = tarfile.TarInfo(f"presel_toy-1.0/{name}")
            member.size = len(text)
            sources.addfile(member, io.BytesIO(text.encode()))
    done = install(tmp_path / "installed", PIP_FIND_LINKS=str(mirror), PIP_ONLY_BINARY=":all:")
    assert done.returncode != 0
    assert "was built" not in done.stderr


def test_a_file_of_settings_that_pip_cannot_read_is_an_error_of_pip(tmp_path: Path) -> None:
    settings = tmp_path / "pip.conf"
    settings.write_text("index-url = https://user:secret@localhost/\n")
    done = install(tmp_path / "installed", PIP_CONFIG_FILE=str(settings))
    assert done.returncode != 0
    assert "no section headers" in done.stderr
    assert "Traceback" not in done.stderr
