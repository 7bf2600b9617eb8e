"""docs/formats.md, its tables written from the registry; run as a module it rewrites the file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sightline.data.formats.conversion import TARGETS
from sightline.data.formats.questions import CAPTION_PROMPT, LABEL_PROMPT
from sightline.data.formats.registry import FORMATS, Format
from sightline.data.pictures.fetched import MOST_REDIRECTS, Limits
from sightline.data.sources.row_files import READERS

TARGET = Path(__file__).resolve().parents[1] / "docs" / "formats.md"

FILES = {
    ".jsonl": "one row a line",
    ".json": "a list of rows or `{\"data\": [rows]}` (LLaVA's files); COCO captions; Karpathy's splits; VQAv2's "
    "questions, with its annotations beside them",
    ".csv": "a header and rows; every value is text",
    ".tsv": "the same, separated by tabs",
    ".parquet": "rows with pictures inside, as the Hub has them",
    ".tar": "a WebDataset shard: files of one sample share their name up to the first point",
    ".token": "Flickr8k's and Flickr30k's captions, `picture.jpg#0<tab>caption`",
    ".txt": "the same under Flickr8k's name",
}
WRITTEN = {
    "trl-sft": "`messages`, or `prompt` and `completion`",
    "trl-dpo": "`prompt`, `chosen`, `rejected`; a row for each rejected answer",
    "trl-kto": "`prompt`, `completion`, `label`; a row for each answer",
    "llava": "`id`, `image`, `conversations`; a system prompt in `system`",
    "parquet": "the source's own columns, pictures inside",
}

TEXT = """# Data: formats in, formats out

Written by `make docs` from the table in `src/sightline/data/formats/registry.py`, whose tests read and write each
example.

`sightline sft` and `sightline dpo` take any of these by `--dataset_name`, with no flag that names the format: it is
known by its columns and first rows, and printed. Rows of an unknown one are refused with what was found and the
nearest format.

<!-- needs: datasets and models of the Hub -->
```bash
sightline sft --model_name_or_path MODEL --dataset_name llava_instruct_150k.json --image_folder coco/train2017
sightline dpo --model_name_or_path MODEL --dataset_name openbmb/RLHF-V-Dataset --output_dir runs/dpo
sightline data convert vlfeedback.parquet pairs.jsonl --to trl-dpo
```

## Rows

| format | trains | columns | found in |
| --- | --- | --- | --- |
{rows}

Each comes with `image` or `images`. Captions and labels beside a question of yours, and answers that only name the
letter or place of an option in another column, are refused: the model would not see what they answer.

A row of each, in the order in which they are tried:

{examples}

* A conversation becomes `messages`, of one exchange or many, and every token of it is trained, as TRL does; the first
  lines of a run say so. `assistant_only_loss: true` trains the assistant's turns. `completion_only_loss: true` makes
  `prompt` and `completion` of `conversations` and `texts`, each of which must be one question and its answer then, so
  that answers alone are trained, as LLaVA trains them; rows of `messages` are refused with it, as in TRL.
* `<image>` stands for an image, in conversations as in questions and prompts, and so do `<image 1>`, `<image_1>`,
  `<|image_1|>`, `<|image_pad|>`, `<start_of_image>`, and `<img>` at the start or end of a text. Rows without a mark
  show their images first; another number of marks or image parts than images is an error that names the row, also where
  no row has an image. In an answer a mark shows nothing, and is an error, too, where the row has images.
* Captions answer "{caption}", class folders "{label}". A row with several captions becomes several rows.
* Of VLFeedback's rated answers the best and the worst by mean rating make a pair. Rows whose ratings are all equal are
  left out and counted.
* `answers` of several people: what most of them said.
* A prompt or an answer may be a text, a number, one message or several, and messages may be written as JSON (as in
  CSV), say `from` and `value`, or `Human` and `GPT`: where one row has messages, all become messages. An answer that
  holds the whole conversation, as UltraFeedback's do, gives its start to the prompt, and a prompt that it does not ask
  is refused. `rejected` may be a list of answers.
* Answers labelled right and wrong (`label` or `kto_tag`, as KTO has them) are refused by `sft` and `dpo`: the wrong
  ones would train as if they were right. So are rows with a video or a sound, boxes in ms-swift's column `objects` that
  `<bbox>` stands for, a row that fills the columns of another format than the others do, and, by `sft`, turns of the
  assistant that say `loss`, `weight`, `train` or `training` false or 0; each is named.
* `input` follows its instruction in a line of its own. `system` and `history` (pairs of question and answer) beside a
  question become turns before it, in training as in `eval`.
* The records of The Cauldron's `texts` are one conversation about the row's images.
* Columns `system`, `history`, `hint` and `context` that a format does not read are said.

## Files, folders and the Hub

| file | holds |
| --- | --- |
{files}

A folder may hold `train.jsonl` (or another of these, under its split's name), tar shards, pictures with
`metadata.jsonl` or `metadata.csv` (`file_name`), a folder of pictures for each class, or what `save_to_disk` wrote.
Anything else is a Hub id.

Rows beyond 64 MiB lie on disk while they are used, in a file that is mapped (in the cache of `datasets`,
`HF_DATASETS_CACHE`), so pictures inside rows cost no memory. A small file may not become gigabytes: what is packed or
says much in few bytes (`.tar` with gzip, bz2, xz or zstd; Parquet; `.gz`, `.zip` and the like in a folder) may unpack
to 1 GiB or to 100 times its size, whichever is more; a line, a cell, a file in a shard or a sheet of Excel to 256 MiB.
Beyond that it is refused with the number. A file that is cut, garbled or in another encoding is refused by name, and by
line.

## Columns of other names

`--columns question=q,answer=a,image=img` gives names to columns before anything else reads them: on `sft`, `dpo`,
`eval` and `data check`, `preview` and `convert` (`data check --eval_columns` for the evaluation data), and in recipes
as text or as a mapping (`columns: {{question: q, answer: a}}`), also for a source of `datasets`, whose list `columns`
keeps TRL's meaning. In training it acts on the rows of evaluation and of `custom:` tasks, too. A column that is not
there, a new name that another column has, and two names for one are refused.

## Pictures

A picture is a path, base64 (bare or as a `data:` address), bytes, a `file:` or web address, or a record of one of these
(`bytes`, `path`, `url`, `src`, `file_name` and the like). Paths count from the folder of the file or from `images` in
it; `--image_folder` names another. What is empty is no picture.

Pictures stand in `image` (one, or a list) or `images`, or wherever else rows name them; every command reads them alike:

* in parts of messages: `{{"type": "image", "image": ...}}` (or `url`, `path`, `base64`), OpenAI's `image_url`,
  `{{"image": ...}}` without a type, or an `images` key of a message. Parts that name none take theirs from the columns,
  in order.
* in one column of another name (`img`, `image_path`, `photo`, any column whose values are pictures), which is then
  printed; columns that are numbered (`image_1`, `image_2`) are shown one after another, the empty ones left out.
* row by row in one or another of these, where sources were joined.

Where nobody can tell which picture is meant (`image` and `images` that differ, two columns of pictures and none of
them `image`), or where a part is no text and no picture (video, audio), the row is refused.

Web addresses are refused unless `allow_urls: true` (`--allow_urls`) allows them. Then:

* https alone, to hosts all of whose addresses are public. The name is asked for once, the answer checked, and the
  checked address connected to, so a name that changes its answer leads nowhere else. Certificates are checked against
  the name.
* At most {redirects} redirects, each checked the same way.
* At most {megabytes} MiB and {seconds:g} s for all of it, however slowly the server sends.
* What comes must be a picture. It is kept under its content in `pictures` in the cache folder, and fetched once.

## Mixtures

TRL's `datasets` key, with sources of any format above:

```yaml
datasets:
  - path: llava.json
    fraction: 0.7             # of the mixture
    image_folder: coco
  - path: vqa.jsonl
    fraction: 0.3
test_split_size: 0.02         # held out of each source, for eval_strategy
```

`fraction` takes as many rows as TRL does: the largest mixture of these shares that repeats no row. Instead, `rows:
5000` takes so many of a source, more than once each where it has fewer; without either all are taken. Which rows is
chosen by `seed`; TRL takes the first ones. What was taken of each source is printed, every row taken is checked, and
messages name it by its own source. Rows of different columns keep what each would train alone.

## Transforms

A dataset of `with_transform` (or `set_transform`) given to the trainers from Python is read as its transform makes it,
anew in each epoch: a picture that it crops at random is cropped at random. So nothing of it is stored, neither features
nor references, rows of one image are not brought together, and what reads every row before training (`packing`,
`length_policy: drop`) is refused. Set `remove_unused_columns` to false, as for TRL, where it reads columns of
its own. A format of tensors or arrays (`set_format`) is laid aside: batches are made of the values behind it.

## Streaming

`streaming: true` (or TRL's `dataset_streaming`) with `max_steps` reads JSONL, Parquet, tar shards or a Hub dataset
while training, in order, and holds a batch in memory. A row is checked when its batch comes; a resumed run goes on at
the row where it stopped, in whatever pass. A streamed mixture draws each row's source by its `fraction`;
`rows` and `test_split_size` need the number of rows. Preferences that stream have no stored references: the reference
model reads each batch, as in TRL. Without streaming, JSONL is held as Arrow
tables and tar shards lie in the cache of `datasets`.

## Formats out

`sightline data convert SOURCE OUT --to FORMAT`:

| format | file | columns |
| --- | --- | --- |
{written}

Pictures are copied into `NAME_images` beside the file, each distinct one once, or stay where they are with `--images
reference`. The file appears whole or not at all, and never over another. A row that the format cannot express stops
the conversion and is named: tools or a third role in LLaVA's, demonstrations in TRL's preferences. Besides the columns
above, `id` is kept. What is read back from any of them trains as the source does.
"""


def render_formats() -> str:
    """The whole document."""
    limits = Limits()
    return TEXT.format(
        rows="\n".join(_row(one) for one in FORMATS),
        examples="\n\n".join(_example(one) for one in FORMATS),
        files="\n".join(f"| `{suffix}` | {FILES[suffix]} |" for suffix in READERS),
        written="\n".join(f"| `{name}` | `{target.suffix}` | {WRITTEN[name]} |" for name, target in TARGETS.items()),
        caption=CAPTION_PROMPT,
        label=LABEL_PROMPT,
        redirects=MOST_REDIRECTS,
        megabytes=limits.max_bytes // 2**20,
        seconds=limits.seconds,
    )


def _row(one: Format) -> str:
    columns = ", ".join(f"`{column}`" for column in one.columns)
    return f"| {one.name} | {'sft' if one.goal == 'sft' else 'dpo'} | {columns} | {one.found_in} |"


def _example(one: Format) -> str:
    return f"**{one.name}**\n\n```json\n{json.dumps(one.example)}\n```"


if __name__ == "__main__":
    TARGET.write_text(render_formats(), encoding="utf-8")
    print(f"wrote {TARGET.name}", file=sys.stderr)
