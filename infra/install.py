"""Install packages into this environment with uv, from the indexes that pip is set up for (`make setup`).

uv takes seconds where pip takes minutes, but reads none of pip's settings, and a company's mirror often stands only
there. Where uv fails, pip installs, and that is said.
"""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_CACHE = Path(sys.prefix) / ".uv-cache"  # beside what is linked from it, so that nothing is copied; removed afterwards
# What pip calls it, the variable of the same meaning that uv reads, and what stands there between several.
_SETTINGS = (
    ("index-url", "UV_DEFAULT_INDEX", " "),
    ("extra-index-url", "UV_INDEX", " "),
    ("find-links", "UV_FIND_LINKS", ","),
    ("constraint", "UV_CONSTRAINT", " "),
    ("trusted-host", "UV_INSECURE_HOST", " "),
    ("default-timeout", "UV_HTTP_TIMEOUT", " "),
    ("timeout", "UV_HTTP_TIMEOUT", " "),
    ("cert", "SSL_CERT_FILE", " "),
    ("client-cert", "SSL_CLIENT_CERT", " "),
    ("proxy", "ALL_PROXY", " "),
)
# What uv has as an option alone.
_OPTIONS = (("only-binary", "--only-binary"), ("no-binary", "--no-binary"))
_YES = ("y", "yes", "t", "true", "on", "1")  # as pip reads it
_SECTIONS = (":env:", "install", "global")  # the first that names a setting decides, as for pip


def settings_of_pip(listed: str) -> dict[str, str]:
    """What pip is told, by setting.

    Args:
        listed: What `pip config list` prints.
    """
    lines = [line.partition("=") for line in listed.splitlines()]
    told = {name: ast.literal_eval(value) for name, _, value in lines}
    decides: dict[str, str] = {}
    for section in reversed(_SECTIONS):
        start = f"{section}."
        decides |= {name.removeprefix(start): value for name, value in told.items() if name.startswith(start)}
    return decides


def variables_for_uv(told: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that tell uv what pip is told.

    Args:
        told: By setting, of `settings_of_pip`.
        environment: Variables that are set; what is set for uv itself stays.
    """
    variables = {"UV_INDEX_STRATEGY": "unsafe-best-match"}  # the newest of all indexes, as pip looks
    for setting, variable, between in _SETTINGS:
        if setting in told:
            variables[variable] = between.join(told[setting].split())
    return {name: value for name, value in variables.items() if name not in environment}


def options_for_uv(told: Mapping[str, str]) -> list[str]:
    """The options that tell uv what pip is told and no variable says.

    Args:
        told: By setting, of `settings_of_pip`.
    """
    options = ["--no-index"] if told.get("no-index", "").lower() in _YES else []
    for setting, option in _OPTIONS:
        for value in told.get(setting, "").replace(",", " ").split():
            options += [option, value]
    return options


def main(arguments: list[str]) -> int:
    """Run `uv pip install` with these arguments, and `pip install` where that fails; the exit status."""
    python = [sys.executable, "-m"]
    # A pip that is told to be quiet or to say more would list nothing, or more than its settings.
    plainly = {**os.environ, "PIP_QUIET": "0", "PIP_VERBOSE": "0"}
    listed = subprocess.run(
        [*python, "pip", "config", "list"], env=plainly, stdout=subprocess.PIPE, text=True, check=False
    )
    if listed.returncode != 0:
        return listed.returncode  # and pip has said why
    told = settings_of_pip(listed.stdout)
    environment = {**os.environ, **variables_for_uv(told, os.environ)}
    with_uv = [*python, "uv", "--quiet", "--cache-dir", str(_CACHE), "pip", "install", "--python", sys.executable]
    done = subprocess.run([*with_uv, *options_for_uv(told), *arguments], env=environment, check=False)
    shutil.rmtree(_CACHE, ignore_errors=True)
    if done.returncode == 0:
        return 0
    sys.stderr.write("uv did not install the packages, for the reason above. pip tries now, which takes minutes.\n")
    return subprocess.run([*python, "pip", "install", "--quiet", "--no-compile", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
