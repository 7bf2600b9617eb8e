"""Push results to the Hub, check the access before training, and say how to push later."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx2
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError
from transformers import Trainer
from transformers.utils.hub import hf_api

from sightline.errors import ConfigError, MachineError
from sightline.launch.processes import say
from sightline.runs import RunFolder

NOT_PUSHED = ("_*", ".*", "checkpoint-*")
WITHOUT = "or leave push_to_hub out and push the folder later by `hf upload`."
WRITE = "Give one that may write there by --hub_token or HF_TOKEN"


@contextmanager
def told_refusals(repository: str) -> Iterator[None]:
    """What the Hub refuses while the context asks for the repository, in one line.

    Raises:
        ConfigError: it does not take the token, or the name.
        MachineError: it cannot be reached, or fails.
    """
    try:
        yield
    except (HFValidationError, LocalTokenNotFoundError) as error:
        raise ConfigError(f"hub_model_id {repository}: {_first_line(error)}") from error
    except HfHubHTTPError as error:
        if error.response.status_code >= 500:
            raise MachineError(f"push_to_hub: the Hub fails ({_first_line(error)}). Try again, {WITHOUT}") from error
        raise ConfigError(
            f"push_to_hub: the Hub refuses {repository} ({_first_line(error)}). Is hub_model_id right, and the token? "
            f"{WRITE}, {WITHOUT}"
        ) from error
    except (httpx2.TransportError, ConnectionError) as error:
        raise MachineError(
            f"push_to_hub: the Hub cannot be reached ({_first_line(error)}). Mend the network, {WITHOUT}"
        ) from error


def require_write_token(token: str | None) -> None:
    """Raises ConfigError where the Hub says that the token reads alone, which it tells of those with a role."""
    role = None
    with suppress(OSError, httpx2.HTTPError, LookupError, TypeError):
        role = hf_api().whoami(token=token)["auth"]["accessToken"]["role"]
    if role == "read":
        raise ConfigError(f"hub_token: expected one that may write, got one that reads alone. {WRITE}, {WITHOUT}")


def push_model(trainer: Trainer, folder: RunFolder) -> None:
    """Pushes the folder of a run that is whole, where its settings ask for it; of several processes the first does.

    Raises:
        MachineError: it could not be pushed, and is kept.
    """
    args = trainer.args
    if not args.push_to_hub or not trainer.is_world_process_zero():
        return
    trainer.callback_handler.on_push_begin(args, trainer.state, trainer.control)
    kept = f"The model is in {folder.path}, and was not pushed"
    try:
        _say_lost_pushes(trainer)
        hf_api().upload_folder(
            repo_id=trainer.hub_model_id,
            folder_path=str(folder.path),
            commit_message="End of training",
            token=args.hub_token,
            ignore_patterns=[*NOT_PUSHED],
            revision=args.hub_revision,
        )
    except (KeyboardInterrupt, SystemExit):
        say(f"{kept}. {_later(trainer, folder)}")
        raise
    except Exception as error:  # the network, the Hub, its storage's own client: the model is whole, whatever it was
        raise MachineError(f"{kept}: {_first_line(error).rstrip('.')}. {_later(trainer, folder)}") from error


def _say_lost_pushes(trainer: Trainer) -> None:
    """Waits for pushes of checkpoints, and says how many failed."""
    trainer._finish_current_push()
    running = getattr(trainer, "push_in_progress", None)
    jobs = running.jobs if running is not None else []
    errors = [error for job in jobs if (error := job.exception())]
    if errors:
        say(f"{len(errors)} of {len(jobs)} pushes of checkpoints failed; the first: {_first_line(errors[0])}")


def _later(trainer: Trainer, folder: RunFolder) -> str:
    """The command that pushes the folder."""
    args = trainer.args
    command = ["hf", "upload", trainer.hub_model_id, str(folder.path.absolute()), "."]
    command += [part for pattern in NOT_PUSHED for part in ("--exclude", pattern)]
    command += ["--revision", args.hub_revision] if args.hub_revision else []
    command += ["--private"] if args.hub_private_repo else []
    return f"Push it later: {shlex.join(command)}"


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
