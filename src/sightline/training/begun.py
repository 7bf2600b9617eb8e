"""Record what a training run began with, so that it resumes only with the same settings, rows and model."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from datasets import Dataset

from sightline.data.sources.file_signatures import model_files, rows_signature
from sightline.errors import RunFolderError
from sightline.launch.processes import Processes
from sightline.runs import RunFolder, flat_names, plain_data
from sightline.secrets import without_secrets
from sightline.training.restore import find_damage, last_whole_checkpoint, step_of

# All settings count when a run is resumed, but these. They change no weight that comes out: names and places (what lies
# there is compared), logging, saving, uploading, evaluating, memory and speed; how long is trained is told.
FREE_SETTINGS = frozenset(
    {
        "output_dir", "resume_from_checkpoint", "model_name_or_path", "adapter", "tokenizer", "chat_template",
        "image_folder", "allow_urls", "device", "device_map",
        "logging_strategy", "logging_steps", "logging_first_step", "logging_dir", "log_on_each_node",
        "logging_nan_inf_filter", "log_level", "log_level_replica", "disable_tqdm", "report_to", "run_name", "project",
        "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id", "include_num_input_tokens_seen",
        "save_strategy", "save_steps", "save_total_limit", "save_only_model", "save_on_each_node",
        "enable_jit_checkpoint", "push_to_hub", "hub_token", "hub_private_repo", "hub_model_id", "hub_strategy",
        "hub_always_push", "hub_revision", "eval_strategy", "eval_steps", "eval_delay", "eval_on_start",
        "per_device_eval_batch_size", "eval_accumulation_steps", "eval_tasks", "eval_tasks_limit", "batch_eval_metrics",
        "prediction_loss_only", "image_margin_rows", "dataloader_num_workers", "dataloader_pin_memory",
        "dataloader_persistent_workers", "dataloader_prefetch_factor", "dataloader_multiprocessing_context",
        "dataset_num_proc", "precompute_ref_batch_size", "feature_store", "reference_store", "share",
        "gradient_checkpointing", "gradient_checkpointing_kwargs", "activation_checkpointing",
        "activation_checkpointing_kwargs", "activation_offloading", "torch_empty_cache_steps", "use_cache",
        "torch_compile", "torch_compile_backend", "torch_compile_mode", "skip_memory_metrics", "debug", "use_cpu",
        "full_determinism", "local_rank", "ddp_find_unused_parameters", "ddp_bucket_cap_mb", "ddp_broadcast_buffers",
        "ddp_static_graph", "ddp_backend", "ddp_timeout", "do_train", "do_eval", "do_predict",
        "restore_callback_states_from_checkpoint",
        # Their product with the number of processes is compared instead.
        "per_device_train_batch_size", "gradient_accumulation_steps",
    }
)  # fmt: skip
# Places of rows that are compared themselves, unless they are streamed.
ROW_PLACES = (
    "dataset_name", "eval_dataset_name", "train_data", "eval_data", "annotations", "eval_annotations", "answers",
)  # fmt: skip
SOURCE_PLACES = ("path", "image_folder", "data_dir", "data_files")
LENGTHS = ("max_steps", "num_train_epochs")
SKIP = "skip_bad_rows"  # may be added: bad rows then keep their places in the order, and are left out of their batches
BY_NAME = ", pictures by name"
_DIRECTORIES = re.compile(r"'/[^']*/")  # before the names of files
CONSTANT, STREAMED = "constant", "streamed"


def begun_with(records: Sequence[Any], training: Any, rows: Mapping[str, Any], *models: str | None) -> dict[str, Any]:
    """What a run begins with: settings that matter, rows by name (None where there are none), and the model's files.

    Args:
        records: the records of settings.
        training: the one of them that is transformers'.
        models: folders or Hub ids that it starts from; None where the settings say how a model is built.
    """
    settings: dict[str, Any] = {}
    for record in records:
        settings |= {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    told = without_secrets(plain_data(settings))
    given = {name: value for name, value in told.items() if name not in FREE_SETTINGS}
    signatures = {f"{name} rows": _signature(value) for name, value in rows.items() if value is not None}
    by_name = {f"{name} rows{BY_NAME}": _signature(value, True) for name, value in rows.items() if value is not None}
    if STREAMED not in signatures.values():
        given = {name: _without_places(value) for name, value in given.items() if name not in ROW_PLACES}
    step = training.per_device_train_batch_size * training.gradient_accumulation_steps * training.world_size
    files = {name: key for model in models if model is not None for name, key in model_files(model).items()}
    model = {f"model file {name}": key for name, key in files.items()}
    return flat_names({**given, "rows of a step": step, **signatures, **by_name, **model})


def began_with_all_rows(folder: RunFolder, training: Any) -> bool:
    """Whether a run is resumed that left no bad rows out when it began: its order of rows is that of all of them."""
    before = _before(folder, training)
    return bool(before) and not before.get(SKIP)


def resume_same(folder: RunFolder, begun: Mapping[str, Any], training: Any, bad_rows_stay: bool) -> dict[str, Any]:
    """What the run in the folder, and that of a checkpoint that is named, began with, which is the same as now.

    Says what another length means for the learning rate.

    Args:
        bad_rows_stay: pictures may have gone or been cut since, as long as rows and names are the same.

    Raises:
        RunFolderError: something else differs.
    """
    before = _before(folder, training)
    named = [name for name in begun if name.endswith(BY_NAME)]
    free = {*LENGTHS, SKIP, *named}
    if bad_rows_stay:
        kept = {name.removesuffix(BY_NAME) for name in named if before.get(name) == begun[name]}
        free |= kept
        for name in sorted(kept):
            if before[name] != begun[name]:
                print(f"{folder.path}: the {name} are compared by the names of their pictures.", file=sys.stderr)
    for one in _resumed(folder, training):
        one.require_same(begun, free)
    kind = str(getattr(training.lr_scheduler_type, "value", training.lr_scheduler_type))
    rest = "" if kind == CONSTANT else f"; from here on the learning rate's schedule ({kind}) is that of the new length"
    for name in LENGTHS:
        if name in before and before[name] != begun[name]:
            print(f"{folder.path} began with {name} {before[name]}, now {begun[name]}{rest}.", file=sys.stderr)
    return {**begun, **{name: before[name] for name in (SKIP, *free - {*LENGTHS}) if name in before}}


def _resumed(folder: RunFolder, training: Any) -> list[RunFolder]:
    """Where runs began that this one goes on with: of the checkpoint that is named, and in its own folder."""
    named = training.resume_from_checkpoint
    return [*([RunFolder(Path(named).absolute().parent)] if isinstance(named, str) else []), folder]


def _before(folder: RunFolder, training: Any) -> dict[str, Any]:
    """With what the run in the folder began, or else that of the checkpoint that is named; empty where none says."""
    return next((found for one in reversed(_resumed(folder, training)) if (found := one.read_begun())), {})


@contextmanager
def opened_folder(
    folder: RunFolder, settings: Any, begun: Mapping[str, Any], processes: Processes
) -> Iterator[str | None]:
    """Begins the run's folder, or goes on in it; the checkpoint to go on from, None where there is none.

    As long as the context lasts the folder is this run's alone. Of several processes the first one sees to it.

    Args:
        settings: those of a training command: `training`, and what was `given`.

    Raises:
        RunFolderError: the folder holds another run, or one is at work there.
    """
    with folder.at_work() if processes.first else nullcontext():
        yield processes.first_does(lambda: _begin(folder, settings, begun))


def _begin(folder: RunFolder, settings: Any, begun: Mapping[str, Any]) -> str | None:
    training = settings.training
    folder.begin(settings.given, bool(training.resume_from_checkpoint), begun)
    checkpoint = checkpoint_of(training)
    if training.resume_from_checkpoint and checkpoint is None:
        print(f"{folder.path} holds no whole checkpoint: training starts from step 0.", file=sys.stderr)
    folder.forget_metrics_after(step_of(checkpoint))
    return checkpoint


def checkpoint_of(training: Any) -> str | None:
    """The checkpoint that the settings name; for `true` the newest whole one, and none where the run left none.

    Raises:
        RunFolderError: the checkpoint that is named is not whole.
    """
    named = training.resume_from_checkpoint
    if named is True:
        return last_whole_checkpoint(Path(training.output_dir))
    damage = find_damage(Path(named)) if named else ""
    if damage:
        raise RunFolderError(
            f"resume_from_checkpoint: {named} is no whole checkpoint ({damage} is missing or was cut). Name another "
            "one, or set it to true for the newest that is whole."
        )
    return named or None


def _without_places(value: Any) -> Any:
    """A mixture's sources without where they lie."""
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        return value
    return [{name: one[name] for name in one if name not in SOURCE_PLACES} for one in value]


def _signature(rows: Any, by_name: bool = False) -> Any:
    """How many rows there are and what they hold; of a stream only that it is one."""
    if isinstance(rows, Mapping):
        return {name: _signature(part, by_name) for name, part in rows.items()}
    if isinstance(rows, Dataset):
        return f"{len(rows):,} of content {rows_signature(rows, by_name)[:8]}"
    if isinstance(rows, list | tuple):
        told = _DIRECTORIES.sub("'", repr(rows))
        content = hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
        return f"{len(rows):,} of content {content[:8]}"
    return STREAMED
