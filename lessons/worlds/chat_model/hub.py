"""Whether a model hub can be asked for a model, found out in seconds: libraries try again for a minute."""

import difflib
import os

from huggingface_hub import constants, get_session

from rl_core.errors import InvalidArgument

SMOLLM2 = "smollm2"
PATIENCE = 4.0  # seconds


def ask_the_hub(model: str) -> None:
    """Raise InvalidArgument, at once, unless the hub answers that it has the model."""
    if not model.count("/") and difflib.get_close_matches(model.lower(), [SMOLLM2], n=1, cutoff=0.6):
        raise cannot_be_had(model, "no such model")
    if constants.HF_HUB_OFFLINE:
        raise cannot_be_had(model, "HF_HUB_OFFLINE is set, and it was not downloaded before")
    try:
        answer = get_session().head(
            f"{constants.ENDPOINT}/{model}/resolve/main/config.json", timeout=PATIENCE, follow_redirects=True
        )
    except Exception as error:  # which library asks, and so what it raises, changes between versions
        raise cannot_be_had(model, f"{constants.ENDPOINT} cannot be reached: {error}") from error
    if answer.status_code in (401, 403, 404):
        raise cannot_be_had(model, f"{constants.ENDPOINT} answers {answer.status_code}: not there, or not for all")


def cannot_be_had(model: str, reason: str) -> InvalidArgument:
    """Return the error that names every way to a model."""
    near = difflib.get_close_matches(os.path.basename(model).lower(), [SMOLLM2], n=1, cutoff=0.6)
    hint = f"did you mean {SMOLLM2!r}? It" if near else f"pass {SMOLLM2!r}, which"
    return InvalidArgument(
        f"model={model!r} cannot be opened ({reason}); {hint} needs no network; or a local folder, which ModelScope "
        f"can fill (modelscope download --model {model or 'a/b'} --local_dir ./folder, then --model ./folder); or set "
        "HF_ENDPOINT to a mirror that this machine can reach."
    )
