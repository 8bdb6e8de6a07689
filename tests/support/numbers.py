"""Numbers for tests: tensors typed by hand, and how closely a result agrees with what is expected of it."""

import torch


def exactly(numbers, **options):
    """Return the numbers as a tensor in double precision."""
    return torch.tensor(numbers, dtype=torch.float64, **options)


def agree(result, expected, tolerance=1e-12):
    """Fail unless a tensor holds what is expected."""
    torch.testing.assert_close(result, torch.as_tensor(expected, dtype=result.dtype), rtol=tolerance, atol=tolerance)
