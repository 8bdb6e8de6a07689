"""Settings and fixtures that all tests share."""

import pytest
import torch

torch.set_num_threads(1)
DEVICES = ["cpu", *([pytest.param("cuda", marks=pytest.mark.cuda)] if torch.cuda.is_available() else [])]


@pytest.fixture(params=DEVICES)
def device(request):
    """Return each device there is, in turn."""
    return request.param
