"""The manifests of the Ray cluster, as far as they can be checked without Kubernetes."""

import re
import shlex
from typing import Any

import pytest
import yaml

from tests.imports_of import ROOT

FOLDER = ROOT / "infra/ray"
POLICY, CLUSTER = yaml.safe_load_all((FOLDER / "cluster.yaml").read_text(encoding="utf-8"))
JOB = yaml.safe_load((FOLDER / "job.yaml").read_text(encoding="utf-8"))
MODELS = yaml.safe_load((FOLDER / "models.yaml").read_text(encoding="utf-8"))
CONSTRAINTS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if "==" in line
)
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
GROUPS: dict[str, dict[str, Any]] = {group["groupName"]: group for group in CLUSTER["spec"]["workerGroupSpecs"]}
PODS: dict[str, dict[str, Any]] = {
    "head": CLUSTER["spec"]["headGroupSpec"]["template"]["spec"],
    **{name: group["template"]["spec"] for name, group in GROUPS.items()},
    "models": MODELS["spec"]["template"]["spec"],
}
each_pod = pytest.mark.parametrize("pod", PODS.values(), ids=PODS.keys())


def test_the_cluster_has_the_pinned_ray_which_the_image_brings() -> None:
    assert CLUSTER["spec"]["rayVersion"] == CONSTRAINTS["ray"]
    dockerfile = (ROOT / "infra/Dockerfile").read_text(encoding="utf-8")
    for variant in ("cpu", "gpu"):
        assert f'".[{variant},kuberay,stack]"' in dockerfile
    # KubeRay submits jobs to the dashboard, and its probes call wget.
    assert re.search(r'^kuberay = \["ray\[data,default,train\]"\]$', PROJECT, re.MULTILINE)
    assert "wget" in dockerfile


@each_pod
def test_pods_run_the_projects_image_as_its_user(pod: dict[str, Any]) -> None:
    version = re.search(r'^version = "(.*)"', PROJECT, re.MULTILINE)
    assert version
    (container,) = pod["containers"]
    assert container["image"].removesuffix("-gpu") == f"presel:{version[1]}"
    assert pod["securityContext"] == {"runAsNonRoot": True, "runAsUser": 10001, "fsGroup": 10001}
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]


@each_pod
def test_what_is_mounted_is_declared(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    declared = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == declared
    assert len({mount["mountPath"] for mount in container["volumeMounts"]}) == len(container["volumeMounts"])


def test_only_the_gpu_group_has_gpus_and_their_build_of_the_image() -> None:
    for name, pod in PODS.items():
        (container,) = pod["containers"]
        assert ("nvidia.com/gpu" in container["resources"]["limits"]) == (name == "gpu")
        assert container["image"].endswith("-gpu") == (name == "gpu")
    assert CLUSTER["spec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert all(group["minReplicas"] == 0 < group["maxReplicas"] for group in GROUPS.values())


def test_all_nodes_see_the_same_files_and_settings() -> None:
    head, *workers = (PODS[name] for name in ("head", *GROUPS))
    for worker in workers:
        assert worker["volumes"] == head["volumes"]
        for key in ("volumeMounts", "env", "envFrom", "workingDir"):
            assert worker["containers"][0][key] == head["containers"][0][key]


def test_nobody_outside_reaches_the_cluster() -> None:
    assert CLUSTER["spec"]["authOptions"] == {"mode": "token"}
    label = {"ray.io/cluster": CLUSTER["metadata"]["name"]}
    assert POLICY["spec"]["podSelector"]["matchLabels"] == label
    assert POLICY["spec"]["policyTypes"] == ["Ingress"]


def test_the_job_runs_on_that_cluster() -> None:
    assert JOB["spec"]["clusterSelector"] == {"ray.io/cluster": CLUSTER["metadata"]["name"]}
    words = shlex.split(JOB["spec"]["entrypoint"])
    start = words.index("presel")
    assert words[start : start + 4] == ["presel", "run", "--engine", "ray"]
    assert words[:2] == ["cd", PODS["head"]["containers"][0]["workingDir"]]
    files = [words[at + 1] for at, word in enumerate(words) if word == "--params"]
    mounted = {mount["mountPath"] for mount in PODS["head"]["containers"][0]["volumeMounts"]}
    assert all((ROOT / file).is_file() or any(file.startswith(f"{path}/") for path in mounted) for file in files)


def test_the_model_cache_gets_the_commits_that_are_pinned() -> None:
    sections = yaml.safe_load((ROOT / "conf/llava-1.5-7b.yaml").read_text(encoding="utf-8"))
    (script,) = MODELS["spec"]["template"]["spec"]["containers"][0]["args"]
    for section in ("encoder", "vlm"):
        assert f"hf download {sections[section]['model']} --revision {sections[section]['revision']}\n" in script
