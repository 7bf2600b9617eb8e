"""`sightline vilt`: pretrain, fine-tune, evaluate and use ViLT, one transformer over words and image patches."""

from __future__ import annotations

import sys

import typer


def pretrain_command(context: typer.Context) -> None:
    """Pretrain on captioned pictures: --config RECIPE --key value ...

    train_data may be COCO's captions JSON, Karpathy's JSON, a Flickr token file, JSONL with image and captions, or an
    Arrow file of ViLT's authors. objectives: itm, mlm, mpp; itm carries word-patch alignment (wpa_weight). Starts from
    scratch, from --vit and --bert, or from --model_name_or_path. Every flag of transformers' TrainingArguments works.
    """
    _train("pretrain", context.args)


def vqa_command(context: typer.Context) -> None:
    """Fine-tune on questions with soft scores of their answers: --config RECIPE --key value ...

    train_data may be VQAv2's questions JSON (with --annotations), JSONL with image, question and answer or answers, or
    an Arrow file of ViLT's authors. The answers are those of the data (min_answer_count) or of a file (--answers).
    """
    _train("vqa", context.args)


def retrieval_command(context: typer.Context) -> None:
    """Fine-tune to rank captions: a true one against draw_false_texts (15) of other pictures.

    train_data as in pretrain. From a pretrained ViLT the ranking head begins as its matching head.
    """
    _train("retrieval", context.args)


def nlvr2_command(context: typer.Context) -> None:
    """Fine-tune to judge sentences about two pictures (NLVR2) or about one (NLVR).

    train_data may be NLVR2's or NLVR's JSONL, rows with image or images, sentence and label, or an Arrow file of ViLT's
    authors.
    """
    _train("nlvr2", context.args)


def _train(task: str, arguments: list[str]) -> None:
    from sightline.training.vilt.run import run_vilt
    from sightline.training.vilt.settings import read_vilt_settings

    result = run_vilt(task, read_vilt_settings(arguments))
    print(result.summary, file=sys.stderr)
    print(result.folder)
