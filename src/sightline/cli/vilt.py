"""`sightline vilt`: pretrain, fine-tune, evaluate and use ViLT."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sightline.errors import ConfigError

if TYPE_CHECKING:
    from sightline.evaluation.vilt.search import Found


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
    from sightline.settings.early import check_early

    check_early(arguments, "vilt")
    from sightline.launch.processes import is_first, say
    from sightline.training.vilt.run import run_vilt
    from sightline.training.vilt.settings import read_vilt_settings

    result = run_vilt(task, read_vilt_settings(arguments))
    say(result.summary)
    if is_first():
        print(result.folder)


def evaluate_command(
    model: str = typer.Argument(help="Folder or Hub id of a ViLT that answers, ranks or judges."),
    data: str = typer.Argument(help="File of questions, captions or sentences, as in training."),
    image_folder: str | None = typer.Option(None, "--image_folder", help="Folder of pictures; default: the file's."),
    annotations: str | None = typer.Option(None, "--annotations", help="VQAv2's annotations beside its questions."),
    split: str | None = typer.Option(None, "--split", help="Split of captions that have several."),
    limit: int | None = typer.Option(None, "--limit", help="Use only the first N rows."),
    skip_bad_rows: bool = typer.Option(False, "--skip_bad_rows", help="Leave out and count unusable rows."),
    candidates: int | None = typer.Option(None, "--candidates", help="Retrieval: score only N pictures per text."),
    compare: bool = typer.Option(False, "--compare", help="With --candidates: score all too, show what is lost."),
    columns: str = typer.Option("", "--columns", help="Your column names: question=q,answer=a,image=img."),
    output_dir: Path | None = typer.Option(None, "--output_dir", help="Run folder: results, samples, report."),
    resume: bool = typer.Option(False, "--resume", help="Continue the run in --output_dir."),
    json: bool = typer.Option(False, "--json", help="Print JSON on stdout, and the table on stderr."),
) -> None:
    """Evaluate a ViLT: soft-score accuracy, recall at 1, 5 and 10 both ways, or judgements, with 95% intervals.

    What the model was trained for decides. Takes the files that training takes; `sightline eval` takes benchmarks and
    rows of your own. Intervals are clustered by picture.
    """

    from sightline.console import print_table
    from sightline.data.sources.column_names import read_columns
    from sightline.evaluation.outcome import RunResult
    from sightline.evaluation.terminal import print_run
    from sightline.evaluation.vilt.retrieval import retrieval_json, retrieval_table
    from sightline.evaluation.vilt.run import ViltEvalConfig, run_vilt_eval
    from sightline.progress import progress_bar

    config = ViltEvalConfig(
        model, data, image_folder, annotations, split, limit, skip_bad_rows, candidates, compare, output_dir, resume,
        read_columns(columns),
    )  # fmt: skip
    with progress_bar("Evaluating") as progress:
        result = run_vilt_eval(config, progress, say=lambda text: print(text, file=sys.stderr))
    if isinstance(result, RunResult):
        print_run(result, json, output_dir)
    elif result is not None:
        print_table(retrieval_table(result), sys.stderr if json else sys.stdout)
        if json:
            print(dumps(retrieval_json(result), ensure_ascii=False, indent=2))


def search_command(
    model: str = typer.Argument(help="Folder or Hub id of a ViLT trained for retrieval."),
    images: Path = typer.Argument(help="Folder of pictures; subfolders are searched, too."),
    text: str = typer.Argument(help="What to look for."),
    top: int = typer.Option(20, "--top", help="How many pictures to show."),
    candidates: int | None = typer.Option(None, "--candidates", help="Shortlist N pictures, score only these."),
    skip_bad_rows: bool = typer.Option(False, "--skip_bad_rows", help="Leave out and count unreadable pictures."),
    output_path: Path = typer.Option(Path("search.html"), "--output_path", help="Contact sheet to write."),
    json: bool = typer.Option(False, "--json", help="Print the ranking as JSON."),
) -> None:
    """Rank pictures by a text: sightline vilt search MODEL PICTURES "a red bus". Writes an HTML contact sheet."""
    from sightline.data.sources.bad_rows import left_out
    from sightline.evaluation.vilt.search import contact_sheet, search
    from sightline.models.vilt.heads import load_head
    from sightline.models.vilt.matching import PairScorer
    from sightline.runs import write_text

    for name, value in (("top", top), ("candidates", candidates)):
        if value is not None and value < 1:
            raise ConfigError(f"{name}: expected at least 1, got {value}.")
    result = search(PairScorer(*load_head(model, "retrieval")), images, text, candidates, skip_bad_rows)
    if result.unreadable:
        print(left_out(str(images), result.unreadable, len(result.found) + len(result.unreadable)), file=sys.stderr)
    write_text(output_path, contact_sheet(result, model, top))
    print(f"Contact sheet: {output_path}", file=sys.stderr)
    _print_ranking(result.found[:top], json)


def _print_ranking(best: Sequence[Found], json: bool) -> None:

    from sightline.runs import plain_data

    if json:
        print(dumps(plain_data(best), ensure_ascii=False, indent=2))
    else:
        for found in best:
            print(f"{found.score:8.3f}  {found.name}")


def caption_command(
    model: str = typer.Argument(help="Folder or Hub id of a ViLT trained for retrieval."),
    image: str = typer.Argument(help="Picture file."),
    captions: Path = typer.Argument(help="Text file with one candidate caption a line."),
    top: int = typer.Option(5, "--top", help="How many captions to show."),
    json: bool = typer.Option(False, "--json", help="Print the ranking as JSON."),
) -> None:
    """Choose captions for a picture from candidates: sightline vilt caption MODEL photo.jpg captions.txt."""
    from sightline.data.pictures.images import open_image
    from sightline.data.vilt.sources import read_lines, require_file
    from sightline.evaluation.vilt.search import rank_captions
    from sightline.models.vilt.heads import load_head
    from sightline.models.vilt.matching import PairScorer

    if top < 1:
        raise ConfigError(f"top: expected at least 1, got {top}.")
    candidates = [line.strip() for line in read_lines(require_file(captions))]
    picture = open_image(image, "caption")
    found = rank_captions(PairScorer(*load_head(model, "retrieval")), picture, candidates)
    _print_ranking(found[:top], json)


def align_command(
    model: str = typer.Argument(help="Folder or Hub id of a ViLT, best one that was pretrained with itm."),
    image: str = typer.Argument(help="Picture file."),
    sentence: str = typer.Argument(help="Sentence whose words are laid over the picture."),
    output_path: Path = typer.Option(Path("alignment.png"), "--output_path", help="PNG to write."),
) -> None:
    """Draw which patches the words of a sentence go to: sightline vilt align MODEL photo.jpg "a cat on a mat"."""
    from sightline.data.pictures.images import open_image
    from sightline.evaluation.vilt.search import draw_alignment
    from sightline.models.vilt.alignment import align
    from sightline.models.vilt.heads import load_any_head

    picture = open_image(image, "align")
    loaded, processor = load_any_head(model)
    draw_alignment(align(loaded, processor, picture, sentence, image), output_path)
    print(output_path)
