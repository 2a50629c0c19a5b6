import errno

import pytest
import torch

from components.compute.ray_errors import WorkerFailedError, pack_error, unpack_error
from components.models.embedding.encoder import EncoderError
from components.pool.images import ImageError
from components.pool.reasons import QuarantineReason


def raised(error: Exception, cause: Exception | None = None) -> BaseException:
    try:
        raise error from cause
    except type(error) as caught:
        return unpack_error(pack_error(caught))


@pytest.mark.parametrize(
    "error",
    [
        EncoderError("encoder.model 'x' cannot be loaded"),
        MemoryError("no room"),
        torch.OutOfMemoryError("CUDA out of memory"),
        KeyError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_arrives_as_itself(error):
    found = raised(error)
    assert (type(found), found.args) == (type(error), error.args)
    assert any("test_ray_errors" in note for note in found.__notes__)


def test_classes_with_a_constructor_of_their_own_keep_what_they_hold():
    found = raised(ImageError(QuarantineReason.CORRUPT, "ends early"))
    assert isinstance(found, ImageError)
    assert (found.reason, found.detail, str(found)) == (QuarantineReason.CORRUPT, "ends early", "corrupt: ends early")
    found = raised(FileNotFoundError(errno.ENOENT, "no such model", "toy.safetensors"))
    assert isinstance(found, FileNotFoundError)
    assert (found.errno, found.filename) == (errno.ENOENT, "toy.safetensors")


def test_what_an_error_came_from_comes_with_it():
    found = raised(ValueError("a stage failed"), OSError(errno.ENOSPC, "No space left on device"))
    assert isinstance(found.__cause__, OSError)
    assert found.__cause__.errno == errno.ENOSPC


def test_an_error_that_cannot_be_sent_is_told_in_words():
    class LocalError(RuntimeError):
        pass

    found = raised(LocalError("of a function"))
    assert type(found) is WorkerFailedError
    assert str(found) == "LocalError: of a function"
