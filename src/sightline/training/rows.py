"""Read the rows of a training command (a source, a stream or a mixture) into TRL's columns, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import datasets

from sightline.data.encoding.checks import ReadRows, check_rows, check_words, joined, stream_words
from sightline.data.encoding.sequences import SequenceEncoder
from sightline.data.formats.columns import preference_rows, sft_rows
from sightline.data.formats.converted import TrainingRows, has_images, image_counts
from sightline.data.formats.registry import Goal
from sightline.data.mixtures import Share, blend, counts_of, draw, join, streamed_shares
from sightline.data.pictures.columns import PictureAccess
from sightline.data.sources.bad_rows import OFFER, left_out
from sightline.data.sources.column_names import renamed
from sightline.data.sources.datasets import RowNames, read_dataset, source_name, stream_dataset
from sightline.data.sources.file_signatures import places_signature
from sightline.errors import ConfigError, DataError
from sightline.launch.processes import is_first, say
from sightline.progress import tracked
from sightline.training.arguments import MixtureSource, TrainingSettings, read_names
from sightline.training.evaluation_rows import evaluation_sources, mixture_sources, require_test_split
from sightline.training.planned_rows import PlannedRows
from sightline.training.trained_tokens import require_completions

MIXTURE = "mixture"
NO_PICTURES = "none has a picture, so they train as text"


@dataclass(frozen=True)
class _Asked:
    """What a command asks of its rows: its settings, what they are for, and how they become sequences."""

    settings: TrainingSettings
    goal: Goal
    encoder: SequenceEncoder

    @property
    def streams(self) -> bool:
        return bool(self.settings.script.dataset_streaming or self.settings.mixture.streaming)


def training_rows(
    settings: TrainingSettings, goal: Goal, encoder: SequenceEncoder
) -> tuple[PlannedRows, PlannedRows | None]:
    """The rows to train on, and those to evaluate on or None, in TRL's columns with closed images.

    Raises:
        ConfigError: no dataset is named, or settings that do not go together.
        DataError: an unknown format, or rows that cannot be trained; names the first.
    """
    script, asked = settings.script, _Asked(settings, goal, encoder)
    named = evaluation_sources(settings)
    holds_out = settings.training.eval_strategy != "no" and not named
    if asked.streams and settings.training.max_steps <= 0:
        raise ConfigError("streaming: expected max_steps, since a stream has no known end; got none. Set --max_steps.")
    entries = mixture_sources(settings)
    if entries:
        train, test = (_streamed_mixture if asked.streams else _mixture)(asked, entries, holds_out)
    else:
        if holds_out:
            require_test_split(settings)
        read = _streamed if asked.streams else _whole
        train = read(asked, script.dataset_train_split)
        test = read(asked, script.dataset_test_split) if holds_out else None
    return train, _evaluation_rows(asked, named) if named else test


def unchecked_rows(settings: TrainingSettings, goal: Goal, encoder: SequenceEncoder) -> PlannedRows:
    """The rows to train on as `training_rows` gives them, but a single source's are not checked.

    Raises:
        InputError: the rows cannot be read, or are streamed.
    """
    asked = _Asked(settings, goal, encoder)
    if asked.streams:
        raise ConfigError("streaming: expected rows that can be counted and looked up; got a stream. Set it to false.")
    entries = mixture_sources(settings)
    if entries:
        return _mixture(asked, entries, holds_out=False)[0]
    name, rows = _read(asked, settings.script.dataset_train_split)
    return PlannedRows(rows.dataset, name if rows.origins is None else f"{name} (as trained)")


def _read(asked: _Asked, split: str) -> tuple[str, TrainingRows]:
    """What messages call the rows of a split, and the rows."""
    script = asked.settings.script
    assert script.dataset_name is not None
    name = source_name(script.dataset_name, split)
    dataset = read_dataset(script.dataset_name, split, script.dataset_config, _access(asked.settings))
    return name, _in_columns(asked, dataset, name)


def _whole(asked: _Asked, split: str) -> PlannedRows:
    return _checked(asked, *_read(asked, split))


def _checked(asked: _Asked, name: str, rows: TrainingRows, beside_pictures: bool = False) -> PlannedRows:
    dataset = rows.dataset
    names = name if rows.origins is None else RowNames(name, rows.origins)
    read, problems = _read_rows(asked, dataset, names, beside_pictures)
    if read is None:
        say(f"{name}: {rows.format.name}, {len(dataset):,} rows, {NO_PICTURES}.")
    else:
        _report(read, name, rows.format.name)
    kept, read = _without(dataset, read, problems, name, asked.settings)
    is_whole = rows.origins is None and len(kept) == len(dataset)
    return _planned(kept, name if is_whole else f"{name} (as trained)", asked.settings, read)


def _planned(dataset: Any, name: str, settings: TrainingSettings, read: ReadRows | None = None) -> PlannedRows:
    is_streamed = isinstance(dataset, datasets.IterableDataset)  # whose rows nobody has looked at
    return PlannedRows(dataset, name, read, settings.script.skip_bad_rows, is_planned=not is_streamed)


def _read_rows(
    asked: _Asked, dataset: Any, names: str | RowNames, beside_pictures: bool
) -> tuple[ReadRows | None, dict[int, str]]:
    """What is in the rows, unless TRL turns them into sequences, and what is wrong with some.

    Those without pictures are TRL's, where none have some that they are mixed with.
    """
    skip, preferences = asked.settings.script.skip_bad_rows, asked.goal == "preferences"
    try:
        if beside_pictures or has_images(dataset):
            read = check_rows(dataset, names, asked.encoder, preferences, progress, skip)
            return read, read.problems
        return None, check_words(dataset, names, preferences, asked.encoder.settings.dataset_text_field, skip)
    except DataError as error:
        if skip:
            raise
        raise DataError(f"{error} {OFFER}") from error


def _without(
    dataset: Any, read: ReadRows | None, problems: Mapping[int, str], name: str, settings: TrainingSettings
) -> tuple[Any, ReadRows | None]:
    """The rows less those that cannot be used, which are said, and what was found in them."""
    if not problems:
        return dataset, read
    stays = "; the run began with them, so each is left out when its batch comes" if settings.bad_rows_stay else ""
    say(left_out(name, list(problems.values()), len(dataset), stays))
    if settings.bad_rows_stay:
        return dataset, read
    kept = [index for index in range(len(dataset)) if index not in problems]
    return dataset.select(kept), None if read is None else read.select(kept)


def _streamed(asked: _Asked, split: str) -> PlannedRows:
    script = asked.settings.script
    assert script.dataset_name is not None
    name = source_name(script.dataset_name, split)
    stream = stream_dataset(script.dataset_name, split, script.dataset_config, _access(asked.settings))
    rows = _in_columns(asked, stream, name)
    blind = "" if has_images(rows.dataset) else f" {NO_PICTURES.capitalize()}, as far as the first rows show."
    say(f"{name}: {rows.format.name}, streamed: a row is checked when its batch comes.{blind}")
    return _planned(_checked_stream(asked, name, rows), name, asked.settings)


def _checked_stream(asked: _Asked, name: str, rows: TrainingRows) -> Any:
    """The stream; of one without pictures, whose sequences TRL makes, rows that say nothing do not pass."""
    if has_images(rows.dataset):
        return rows.dataset
    field, skip = asked.encoder.settings.dataset_text_field, asked.settings.script.skip_bad_rows
    return stream_words(rows.dataset, name, asked.goal == "preferences", field, skip)


def _streamed_mixture(asked: _Asked, entries: Sequence[MixtureSource], holds_out: bool) -> tuple[PlannedRows, None]:
    if holds_out or asked.settings.mixture.test_split_size is not None:
        raise ConfigError(
            "streaming: expected no test_split_size, and eval_strategy only with rows named by eval_dataset_name, "
            "since rows to hold out cannot be drawn from streams. Name them, or set eval_strategy to no."
        )
    shares = streamed_shares([Share(entry.fraction, entry.rows) for entry in entries])
    sources = [_source(asked, entry, streams=True) for entry in entries]
    for (name, rows), share in zip(sources, shares, strict=True):
        line = f"{name}: {rows.format.name}, {share:.0%} of the rows, streamed: checked when their batch comes."
        say(line)
    parts = [_checked_stream(asked, name, rows) for name, rows in sources]
    return _planned(blend(parts, shares, asked.settings.training.seed), MIXTURE, asked.settings), None


def _mixture(
    asked: _Asked, entries: Sequence[MixtureSource], holds_out: bool
) -> tuple[PlannedRows, PlannedRows | None]:
    settings, mixture, seed = asked.settings, asked.settings.mixture, asked.settings.training.seed
    if holds_out and mixture.test_split_size is None:
        raise ConfigError(
            "datasets: expected test_split_size, the share of rows to evaluate on, since eval_strategy is "
            f"{settings.training.eval_strategy.value}; got none. Set it, name rows by eval_dataset_name, or set "
            "eval_strategy to no."
        )
    sources = [_source(asked, entry) for entry in entries]
    shares = [Share(entry.fraction, entry.rows) for entry in entries]
    counts = counts_of([len(rows.dataset) for _, rows in sources], shares)
    pictured = _have_pictures(sources)
    train: list[PlannedRows] = []
    test: list[PlannedRows] = []
    for number, ((name, rows), count) in enumerate(zip(sources, counts, strict=True)):
        drawn = draw(len(rows.dataset), count, mixture.test_split_size or 0.0, seed + number)
        for indices, parts in ((drawn.train, train), (drawn.test, test)):
            part, read = rows.dataset.select(indices), None
            if len(part):
                origins = indices if rows.origins is None else [rows.origins[index] for index in indices]
                found = _read_rows(asked, part, RowNames(name, origins), pictured)
                part, read = _without(part, *found, name, settings)
            parts.append(_planned(part, name, settings, read))
        held = f", {len(drawn.test):,} held out" if drawn.test else ""
        held += "" if any(image_counts(rows.dataset)) else f", {NO_PICTURES}"
        line = f"{name}: {rows.format.name}, {len(drawn.train):,} of {len(rows.dataset):,} rows taken{held}."
        say(line)
    if holds_out and not any(len(part.dataset) for part in test):
        raise ConfigError(
            f"test_split_size: {mixture.test_split_size} of {', '.join(map(str, counts))} rows holds none out to "
            "evaluate on. Raise it."
        )
    return _mixed(train, settings), _mixed(test, settings) if holds_out else None


def _mixed(parts: Sequence[PlannedRows], settings: TrainingSettings) -> PlannedRows:
    """Rows of several sources as those of one."""
    dataset = join([part.dataset for part in parts], [str(part.name) for part in parts])
    read = [part.read for part in parts if part.read is not None]
    return _planned(dataset, MIXTURE, settings, joined(read) if read else None)


def _have_pictures(sources: Sequence[tuple[str, TrainingRows]]) -> bool:
    return any(has_images(rows.dataset) for _, rows in sources)


def _evaluation_rows(asked: _Asked, named: Sequence[MixtureSource]) -> PlannedRows:
    sources = [_source(asked, entry) for entry in named]
    parts = [_checked(asked, name, rows, _have_pictures(sources)) for name, rows in sources]
    return parts[0] if len(parts) == 1 else _mixed(parts, asked.settings)


def _source(asked: _Asked, entry: MixtureSource, streams: bool = False) -> tuple[str, TrainingRows]:
    settings = asked.settings
    name = source_name(entry.path, entry.split)
    names = read_names(entry.columns or settings.script.columns)
    if entry.data_dir is not None or entry.data_files is not None:
        content = places_signature(entry.path, entry.data_dir, entry.data_files)
        dataset = datasets.load_dataset(
            entry.path,
            entry.name,
            data_dir=entry.data_dir,
            data_files=entry.data_files,
            split=entry.split,
            streaming=streams,
            **({"description": content} if content else {}),  # part of the key under which `datasets` keeps them
        )
        dataset = renamed(dataset, names, name)
    else:
        folder = entry.image_folder or settings.script.image_folder
        access = replace(_access(settings), image_folder=folder, columns=names)
        dataset = (stream_dataset if streams else read_dataset)(entry.path, entry.split, entry.name, access)
    if isinstance(entry.columns, list):
        dataset = dataset.select_columns(entry.columns)
    return name, _in_columns(asked, dataset, name)


def _in_columns(asked: _Asked, dataset: Any, name: str) -> TrainingRows:
    """The dataset in TRL's columns, as the trainer of these settings would bring it there; refused as it would be."""
    training, skip = asked.settings.training, asked.settings.script.skip_bad_rows
    if asked.goal == "preferences":
        rows = preference_rows(dataset, name, skip_bad_rows=skip)
    else:
        alone = bool(getattr(training, "completion_only_loss", None))
        rows = sft_rows(dataset, name, alone, skip_bad_rows=skip)
        require_completions(training, {name: rows.dataset})
    if rows.bad:
        say(left_out(name, list(rows.bad.values()), len(dataset)))
    return rows


def _access(settings: TrainingSettings) -> PictureAccess:
    script = settings.script
    names, skip = read_names(script.columns), script.skip_bad_rows
    return PictureAccess(script.image_folder, script.allow_urls, keep_missing=True, skip_bad_rows=skip, columns=names)


def progress(items: Iterable[Any], total: int, title: str) -> Iterable[Any]:
    """The items, with their progress on stderr; of several processes the first shows it."""
    return tracked(items, title, total, is_shown=is_first())


def _report(read: ReadRows, name: str, format_name: str) -> None:
    images = f"{read.images:,} distinct images" if read.images else NO_PICTURES
    say(f"{name}: {format_name}, {len(read):,} rows, {images}, longest sequence {read.longest:,} tokens.")
