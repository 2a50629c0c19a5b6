import subprocess
import sys

import pytest
import torch

from tasks.platform.gpu_memory import free_gpu_memory
from tests.imports_of import ROOT


def test_torch_is_not_imported_for_it() -> None:
    code = "import sys, tasks.platform.gpu_memory as m; m.free_gpu_memory(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_what_nothing_uses_is_free_for_others() -> None:
    free_gpu_memory()
    before, _ = torch.cuda.mem_get_info()
    taken = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    del taken
    assert torch.cuda.mem_get_info()[0] < before
    free_gpu_memory()
    assert torch.cuda.mem_get_info()[0] >= before - 2**26
