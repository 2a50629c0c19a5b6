import errno
import sqlite3
from pathlib import Path

import pytest
import torch
import yaml

from components.instructions.endpoint.provider import LongWaitError
from components.instructions.purchase_errors import EndpointFailsError, NothingUsableError, PurchaseStoppedError
from components.parameters.parameters import ParameterError, Parameters
from components.parameters.reading import parse_parameters
from tasks.platform.failures import advise, may_pass
from tasks.stages import find_stage

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def parameters() -> Parameters:
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return parse_parameters(values, origin="params.yaml")


class OutOfMemoryError(RuntimeError):
    """Named as torch's is."""


class RemoteAwayError(RuntimeError):
    """Named as the tasks' is."""


def caused(error: Exception, cause: Exception) -> Exception:
    try:
        raise error from cause
    except type(error) as raised:
        return raised


MEMORY = [
    ("tune", OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "tuning.batch_size (now 16)"),
    ("reference_tune", RuntimeError("CUDA error: out of memory"), "tuning.gradient_checkpointing: true (now false)"),
    ("baseline_tune@random", MemoryError(), "tuning.gradient_accumulation raised by the same factor"),
    ("tune", RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "vlm.context_length (now 512)"),
    ("embed", OSError(errno.ENOMEM, "Cannot allocate memory"), "encoder.batch_size (now 64)"),
    ("score", OutOfMemoryError("CUDA out of memory"), "score.batch_size (now 32)"),
    ("benchmark_tuned", OutOfMemoryError("CUDA out of memory"), "benchmark.batch_size (now 64)"),
    ("instruct_selection", OutOfMemoryError("CUDA out of memory"), "purchase.local.batch_size (now 8)"),
    ("cluster", MemoryError(), "a machine with more memory"),
    ("cluster", RuntimeError("alloc fail (cudaMalloc error out of memory [2])"), "or end what else uses the GPU"),
]


@pytest.mark.parametrize(("stage", "error", "advice"), MEMORY)
def test_out_of_memory_names_what_to_lower(stage, error, advice, parameters):
    memory = find_stage("presel", stage).declaration.memory
    found = advise(error, during=stage, parameters=parameters, memory=memory)
    assert found is not None
    assert found.cause in ("gpu_memory", "memory")
    assert found.message.startswith(f"{stage} ran out of ")
    assert advice in found.message
    assert "press Retry" in found.message
    assert not may_pass(error)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_real_gpu_that_is_full_names_what_to_lower(parameters):
    free, _ = torch.cuda.mem_get_info()
    with pytest.raises(torch.cuda.OutOfMemoryError) as caught:
        torch.empty(2 * free, dtype=torch.uint8, device="cuda")
    memory = find_stage("presel", "embed").declaration.memory
    found = advise(caught.value, during="embed", parameters=parameters, memory=memory)
    assert found is not None
    assert found.cause == "gpu_memory"
    assert "encoder.batch_size (now 64)" in found.message
    assert "end what else uses the GPU" in found.message


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("lance error: LanceError(IO): No space left on device (os error 28)"),
        sqlite3.OperationalError("database or disk is full"),
        caused(RuntimeError("the table could not be written"), OSError(errno.ENOSPC, "No space left on device")),
        caused(RemoteAwayError("OSError"), OSError(errno.ENOSPC, "No space left on device")),
    ],
)
def test_a_full_disk(error, parameters):
    found = advise(error, during="embed", parameters=parameters)
    assert found is not None
    assert found.cause == "disk"
    assert "embed found the disk full. Free space" in found.message
    assert not may_pass(error)


def test_an_endpoint_that_is_down(parameters):
    found = advise(EndpointFailsError("50 failures"), during="instruct_selection", parameters=parameters)
    assert found is not None
    assert "the endpoint https://api.openai.com/v1 that writes instructions does not answer" in found.message
    assert "nothing that was bought is bought again" in found.message
    assert found.message.endswith("[EndpointFailsError: 50 failures]")


def test_a_remote_that_is_away(parameters):
    found = advise(RemoteAwayError("EndpointConnectionError: ..."), during="push embed", parameters=parameters)
    assert found is not None
    assert "push embed: the DVC remote cannot be reached" in found.message


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/nowhere/x"), "may not do that (the folder / is user 0's"),
        (RuntimeError("lance error: Permission denied (os error 13)"), "run presel as the user that it belongs to"),
        (OSError(errno.EROFS, "Read-only file system", "/nowhere"), "mount it for writing"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (OSError(errno.EIO, "Input/output error"), "look at its health"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a/b"), "move it away"),
        (caused(RuntimeError("a table"), PermissionError(errno.EPERM, "Operation not permitted")), "chown"),
    ],
)
def test_a_file_that_cannot_be_used_comes_with_what_to_do(error, advice, parameters):
    found = advise(error, during="embed", parameters=parameters)
    assert found is not None
    assert found.cause == "file"
    assert advice in found.message


def test_an_error_that_says_what_to_do_is_left_alone(parameters):
    told = caused(ParameterError("correct sources.path"), PermissionError(errno.EACCES, "Permission denied"))
    assert advise(told, during="ingest", parameters=parameters) is None


@pytest.mark.parametrize(
    "error",
    [ParameterError("budget"), ValueError("quotes: No space left on device"), RuntimeError("anything"), KeyError("x")],
)
def test_no_advice_where_the_error_itself_has_to_do(error, parameters):
    assert advise(error, during="tune", parameters=parameters) is None


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ConnectionResetError("peer"), True),
        (TimeoutError("60 s"), True),
        (OSError(errno.EIO, "Input/output error"), True),
        (OSError(errno.ESTALE, "Stale file handle"), True),
        (EndpointFailsError("503"), True),
        (RemoteAwayError("no route"), True),
        (sqlite3.OperationalError("database is locked"), True),
        (caused(RuntimeError("a wrapper"), ConnectionError("refused")), True),
        (FileNotFoundError("gone for good"), False),
        (PermissionError(errno.EACCES, "denied"), False),
        (OSError(errno.EROFS, "Read-only file system"), False),
        (caused(ParameterError("bad"), ConnectionError("refused")), False),
        (PurchaseStoppedError("declined"), False),
        (NothingUsableError("5 of 5 requests had no reply after 6 attempts"), False),
        (caused(RuntimeError("a wrapper"), NothingUsableError("nobody passes")), False),
        (LongWaitError("Retry-After"), False),
        (RuntimeError("who knows"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error, passes):
    assert may_pass(error) is passes
