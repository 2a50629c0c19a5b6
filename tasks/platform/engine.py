"""Where the heavy stages of a run compute: on this machine, or on a Ray cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.compute.engine import Engine
from components.compute.local import LocalEngine
from components.compute.ray_cluster import check_installed, leave
from components.compute.ray_engine import RayEngine
from components.parameters.compute import ComputeParameters
from components.parameters.parameters import Parameters
from components.pool.locations import expand_paths, local_path


def engine_of(compute: ComputeParameters, parameters: Parameters) -> Engine:
    """The engine; a cluster is joined when there is first something to do.

    Args:
        compute: where, and what workers take.
        parameters: of the run, for the folders that workers read from.
    """
    if compute.engine == "local":
        return LocalEngine()
    return RayEngine(compute, folders=_read_from(parameters))


@contextmanager
def engine_for(compute: ComputeParameters) -> Iterator[None]:
    """A run, at whose end the cluster that it joined is left: in each of a process's runs the same one is used.

    Raises:
        RayMissingError: the engine is Ray, and Ray is not installed.
    """
    if compute.engine == "ray":
        check_installed()
    try:
        yield
    finally:
        leave()


def _read_from(parameters: Parameters) -> tuple[str, ...]:
    """Local files and folders that images and models are read from, those that are there."""
    # Of every section that names one; the name of an endpoint's model is that of no folder.
    models = (getattr(section, "model", None) for _, section in parameters)
    named = [model for model in models if isinstance(model, str) and model]
    for source in parameters.sources:
        named += [*expand_paths(source.path)[:1], source.image_root, *source.further_roots]
    for held_out in parameters.benchmark.sets:
        named += held_out.roots
    paths = [local_path(name) for name in named]
    return tuple(dict.fromkeys(str(path) for path in paths if path is not None and Path(path).exists()))
