"""Settings and fixtures that all tests share."""

import os

import pytest
import torch

torch.set_num_threads(int(os.environ.get("TEST_THREADS", "1")))  # more than one in `make test-cpus`
DEVICES = ["cpu", *([pytest.param("cuda", marks=pytest.mark.cuda)] if torch.cuda.is_available() else [])]


@pytest.fixture(params=DEVICES)
def device(request):
    """Return each device there is, in turn."""
    return request.param
