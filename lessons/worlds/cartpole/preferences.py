"""What is liked in a drive: that it lasts, and that it is steady."""

import torch

from lessons.worlds.measure import better_and_worse
from rl_core.pairs import Pairs
from rl_core.types import Episodes

CLIP = 16  # steps


def longer_drives(played: Episodes) -> Pairs:
    """Return a pair for each start that was driven twice: the drive that stands longer, and the other; no ties."""
    lengths = played.mask.sum(dim=1)
    return better_and_worse(played, lengths.float())


def steadier_clips(played: Episodes, generator: torch.Generator) -> Pairs:
    """Return a pair for each start that was driven twice: the same few steps of both drives, the steadier one chosen.

    Steady is what leans less: the mean |angle| over the clip. Both clips have the same number of steps, so how long a
    drive lasts is not to be seen in them. Drives that are shorter than a clip are left out.
    """
    shorter = played.mask.sum(dim=1).view(-1, 2).amin(dim=1)  # [N]
    latest = (shorter - CLIP).cpu()
    begins = (torch.rand(len(latest), generator=generator) * (latest + 1).clamp(min=0)).long()
    steps = begins.repeat_interleave(2).unsqueeze(1) + torch.arange(CLIP)  # [2N, CLIP]
    steps = steps.to(played.mask.device)
    rows = torch.arange(len(played), device=steps.device).unsqueeze(1)
    inside = steps.clamp(max=played.mask.shape[1] - 1)
    clips = Episodes(played.prompt, *(x[rows, inside] for x in (played.obs, played.actions, played.mask)))
    fits = (shorter >= CLIP).repeat_interleave(2)
    clips = clips.rows(fits)
    return better_and_worse(clips, -clips.obs[..., 2].abs().mean(dim=1))
