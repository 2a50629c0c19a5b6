"""Which faiss `make` installs; nothing is installed here."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.imports_of import ROOT


def setup_of(*arguments: str, path: str = os.environ["PATH"]) -> "subprocess.CompletedProcess[str]":
    command = ["make", "--dry-run", "--always-make", "setup", *arguments]
    environment = {**os.environ, "PATH": path}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("says", "build"), [("GPU 0: a card (UUID: GPU-1)", "gpu"), ("No devices were found", "cpu")])
def test_the_build_of_faiss_fits_the_machine(tmp_path: Path, says: str, build: str) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f'#!/bin/sh\necho "{says}"\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    assert f',{build}]"' in setup_of(path=path).stdout
    other = {"cpu": "gpu", "gpu": "cpu"}[build]
    assert f',{other}]"' in setup_of(f"FAISS={other}", path=path).stdout


def test_another_build_is_refused_by_name() -> None:
    done = setup_of("FAISS=cuda")
    assert done.returncode != 0
    assert "FAISS is 'cuda'; allowed: cpu, gpu" in done.stderr
