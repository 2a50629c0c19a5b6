"""Install packages into this environment with uv, from the indexes that pip is set up for (`make setup`).

uv takes seconds where pip takes minutes, but reads none of pip's settings, and a company's mirror often stands only
there. Where uv cannot install, for a setting that it has no counterpart of, pip does.
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
_SECTIONS = (":env:", "install", "global")  # the first that names a setting decides, as for pip


def variables_for_uv(listed: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that tell uv what pip is told.

    Args:
        listed: What `pip config list` prints.
        environment: Variables that are set; what is set for uv itself stays.
    """
    told: dict[str, str] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        told[name] = ast.literal_eval(value)
    variables = {"UV_INDEX_STRATEGY": "unsafe-best-match"}  # the newest of all indexes, as pip looks
    for setting, variable, between in _SETTINGS:
        values = [told[f"{section}.{setting}"] for section in _SECTIONS if f"{section}.{setting}" in told]
        if values:
            variables[variable] = between.join(values[0].split())
    return {name: value for name, value in variables.items() if name not in environment}


def main(arguments: list[str]) -> int:
    """Run `uv pip install` with these arguments, and `pip install` where that fails; the exit status."""
    python = [sys.executable, "-m"]
    listed = subprocess.run([*python, "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    environment = {**os.environ, **variables_for_uv(listed, os.environ)}
    with_uv = [*python, "uv", "--quiet", "--cache-dir", str(_CACHE), "pip", "install", "--python", sys.executable]
    done = subprocess.run([*with_uv, *arguments], env=environment, check=False)
    shutil.rmtree(_CACHE, ignore_errors=True)
    if done.returncode == 0:
        return 0
    sys.stderr.write("uv did not install the packages, for the reason above. pip tries now, which takes minutes.\n")
    return subprocess.run([*python, "pip", "install", "--quiet", "--no-compile", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
