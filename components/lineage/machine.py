"""The kind of machine and the libraries of a run: what decides whether it comes out bit for bit again."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CPU_FILE = Path("/proc/cpuinfo")
_GPU_FOLDER = Path("/proc/driver/nvidia/gpus")
# Those that compute; the others only carry what these computed.
LIBRARIES = (
    "accelerate",
    "faiss-cpu",
    "faiss-gpu",
    "lancedb",
    "numpy",
    "peft",
    "pillow",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "torch",
    "transformers",
)


@dataclass(frozen=True, slots=True)
class Machine:
    """What computed.

    Attributes:
        system: operating system and architecture.
        cpu: model name.
        gpus: model names; empty without an NVIDIA GPU.
        python: version.
        libraries: version by name, of those that are installed.
    """

    system: str
    cpu: str
    gpus: tuple[str, ...]
    python: str
    libraries: Mapping[str, str]

    def as_json(self) -> str:
        """For the run's record."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"


def this_machine() -> Machine:
    """Describe the machine that this process runs on, without importing a library that computes."""
    libraries = {name: found for name in LIBRARIES if (found := installed_version(name)) is not None}
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        cpu=_first_value(_CPU_FILE, "model name") or platform.processor(),
        gpus=tuple(sorted(_first_value(file, "Model") for file in _GPU_FOLDER.glob("*/information"))),
        python=platform.python_version(),
        libraries=libraries,
    )


def read_machine(text: str) -> Machine:
    """Read back what `as_json` wrote."""
    values = json.loads(text)
    return Machine(values["system"], values["cpu"], tuple(values["gpus"]), values["python"], values["libraries"])


def machine_differences(recorded: Machine, present: Machine) -> tuple[str, ...]:
    """Say in which respects two machines differ, one text each; none for two of the same type."""
    pairs = [
        ("system", recorded.system, present.system),
        ("CPU", recorded.cpu, present.cpu),
        ("GPUs", ", ".join(recorded.gpus) or "none", ", ".join(present.gpus) or "none"),
        ("Python", recorded.python, present.python),
    ]
    absent = "not installed"
    pairs += [
        (name, recorded.libraries.get(name, absent), present.libraries.get(name, absent))
        for name in sorted(recorded.libraries.keys() | present.libraries.keys())
    ]
    return tuple(f"{name}: {then} then, {now} now" for name, then, now in pairs if then != now)


def installed_version(name: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _first_value(file: Path, key: str) -> str:
    if not file.is_file():
        return ""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
