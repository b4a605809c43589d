"""What several files of tests share and is expensive to make."""

import compiled
import pytest


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """A folder with everything that `python -m kernels.aot` writes, the code of each kernel included."""
    if reason := compiled.missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("aot")
    compiled.run_python("-m", "kernels.aot", "--output", folder, "--keep-ir")
    return folder
