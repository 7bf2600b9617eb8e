"""Put the head of a task on a starting model: pretraining, answering, ranking, judging."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    PretrainedConfig,
    ViltForImageAndTextRetrieval,
    ViltForImagesAndTextClassification,
    ViltForQuestionAnswering,
    ViltProcessor,
)
from transformers.models.vilt.modeling_vilt import ViltModel, ViltPreTrainedModel

from sightline.data.vilt.sentences import LABELS
from sightline.errors import InputError
from sightline.models.folders import reading
from sightline.models.guarded import quiet_loading
from sightline.models.pretrained import load_pretrained
from sightline.models.vilt.pretraining import ViltForPreTraining
from sightline.models.vilt.start import Start, load_start, load_vilt_processor

CLASSES: dict[str, type[ViltPreTrainedModel]] = {
    "pretrain": ViltForPreTraining,
    "vqa": ViltForQuestionAnswering,
    "retrieval": ViltForImageAndTextRetrieval,
    "nlvr2": ViltForImagesAndTextClassification,
}


def build_pretraining(start: Start, wpa_weight: float = 0.1, masked_patches: bool = False) -> ViltForPreTraining:
    """Pretraining heads; those that the start's folder holds go on."""
    return _with_head("pretrain", start, {"wpa_weight": wpa_weight, "masked_patches": masked_patches})


def build_answering(start: Start, answers: Sequence[str]) -> ViltForQuestionAnswering:
    """A classifier over `answers`; it goes on from the start's where that has the same answers."""
    labels = dict(enumerate(answers))
    known = getattr(start.config, "id2label", {}) or {}
    changes = {"id2label": labels, "label2id": {answer: index for index, answer in labels.items()}}
    return _with_head("vqa", start, changes, keeps_head=known == labels)


def build_ranking(start: Start) -> ViltForImageAndTextRetrieval:
    """A head that ranks pairs. Without one of its own to go on from, it begins as the row of "true" of the start's
    matching head, as in the paper; a start without either begins from drawn weights."""
    model: ViltForImageAndTextRetrieval = _with_head("retrieval", start, {})
    if _head_names(start, "ViltForPreTraining"):
        with quiet_loading():
            matching = load_pretrained(ViltForPreTraining, start.name).itm_score.fc
        with torch.no_grad():
            model.rank_output.weight.copy_(matching.weight[1:])
            model.rank_output.bias.copy_(matching.bias[1:])
    return model


def build_judging(start: Start, num_images: int) -> ViltForImagesAndTextClassification:
    """A head that says false or true of a sentence about `num_images` pictures, each with a modality of its own."""
    names = dict(enumerate(LABELS))
    changes = {
        "num_images": num_images,
        "modality_type_vocab_size": num_images + 1,
        "id2label": names,
        "label2id": {name: index for index, name in names.items()},
    }
    keeps = getattr(start.config, "num_images", -1) == num_images
    return _with_head("nlvr2", start, changes, keeps_head=keeps)


def load_head(name: str, task: str, device: str | None = None) -> tuple[Any, ViltProcessor]:
    """The model of `task` in evaluation mode, and its processor, from a folder or Hub id.

    Raises:
        InputError: there is none, or it was trained for another task.
    """
    wanted = CLASSES[task]
    with reading(name, "The ViLT"):
        config = load_pretrained(AutoConfig, name)
        found = (config.architectures or ["none"])[0]
        if config.model_type != "vilt" or found != wanted.__name__:
            raise InputError(
                f"{name} holds a model of class {found}, but this needs {wanted.__name__}. "
                f"Train one by `sightline vilt {task}`."
            )
        model = load_pretrained(wanted, name)
        processor = load_vilt_processor(name)
    target = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return model.eval().to(target), processor


def is_vilt(name: str) -> bool:
    """Whether a folder or Hub id holds a ViLT, whatever its head; its weights are not read."""
    try:
        content, _ = PretrainedConfig.get_config_dict(Path(name).expanduser())
    except Exception:  # transformers checks little of what it reads; who loads the folder says what is wrong
        return False
    return isinstance(content, dict) and content.get("model_type") == "vilt"


def task_of(name: str) -> str:
    """What a folder or Hub id with a ViLT was trained for: vqa, retrieval or nlvr2.

    Raises:
        InputError: there is none, or it has another head.
    """
    with reading(name, "The model"):
        found = (load_pretrained(AutoConfig, name).architectures or ["none"])[0]
    for task in ("vqa", "retrieval", "nlvr2"):
        if CLASSES[task].__name__ == found:
            return task
    raise InputError(
        f"{name} holds a {found}; expected a ViLT that answers, ranks or judges. "
        "Train one by `sightline vilt vqa`, `retrieval` or `nlvr2`."
    )


def _with_head(task: str, start: Start, changes: dict[str, Any], keeps_head: bool = True) -> Any:
    kind = CLASSES[task]
    config = copy.deepcopy(start.config)
    for name, value in changes.items():
        setattr(config, name, value)
    if keeps_head and _head_names(start, kind.__name__):
        with quiet_loading():  # a matching head is new where the folder has masked words alone
            model = load_pretrained(kind, start.name, {"config": config})
    else:
        model = kind(config)
        _take_body(model.vilt, start.body)
    return model


def _head_names(start: Start, kind: str) -> bool:
    """Whether the start comes from a folder or Hub id of that class, so that its head can go on."""
    pretraining = ("ViltForPreTraining", "ViltForMaskedLM")
    found = (getattr(start.config, "architectures", None) or [""])[0]
    return found == kind or (kind == pretraining[0] and found in pretraining)


def _take_body(body: ViltModel, given: ViltModel) -> None:
    """Copy the body; a modality that it lacks begins as that of pictures, as the paper begins NLVR2's second one."""
    state = given.state_dict()
    name = "embeddings.token_type_embeddings.weight"
    rows = body.config.modality_type_vocab_size
    state[name] = torch.cat([state[name], state[name][1:2].expand(max(0, rows - len(state[name])), -1)])[:rows]
    body.load_state_dict(state)


def load_any_head(name: str) -> tuple[Any, ViltProcessor]:
    """As `load_head`, with the head that the folder or Hub id has.

    Raises:
        InputError: there is none of ours, or of transformers'.
    """
    start = load_start(name)
    found = (getattr(start.config, "architectures", None) or [""])[0]
    task = next((task for task, kind in CLASSES.items() if kind.__name__ == found), "pretrain")
    return _with_head(task, start, {}).eval(), start.processor
