"""What workers of a cluster must find."""

from components.compute.ray_engine import RayEngine
from components.parameters.reading import load_parameters
from tasks.platform.engine import engine_of
from tests.imports_of import ROOT


def test_workers_must_find_the_model_of_every_section_that_names_one(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    parameters = load_parameters(ROOT / "params.yaml")
    on_ray = parameters.compute.model_copy(update={"engine": "ray"})
    sections = {name: section for name, section in parameters if isinstance(getattr(section, "model", None), str)}
    assert {"encoder", "vlm", "coincide", "instructions"} <= sections.keys()
    for name, section in sections.items():
        elsewhere = section.model_copy(update={"model": str(tmp_path)})
        engine = engine_of(on_ray, parameters.model_copy(update={name: elsewhere}))
        assert isinstance(engine, RayEngine)
        assert str(tmp_path) in engine.folders, name
