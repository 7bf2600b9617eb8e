"""What models are shown, how their replies are read, and which answers make a pair: each worked by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sightline.data.sources.bad_rows import BadRows
from sightline.data.sources.column_names import read_columns
from sightline.data.sources.stored import DatasetTable
from sightline.errors import ConfigError, DataError
from sightline.synthesis.instructions import INSTRUCTIONS
from sightline.synthesis.preferences import ALIKE, NO_BETTER, NOTHING, Candidate, Sides, choose_pair
from sightline.synthesis.replies import SHIPPED, ReplyError, read_description, read_pairs, read_prompt, read_score
from sightline.synthesis.settings import KINDS, PairChoice, SynthesisConfig
from sightline.synthesis.units import Unit, box_lines, read_scenes, read_turns, source_table
from tests.tiny import picture

DOG, CAT = "dog: [0.5, 0.0, 0.75, 0.5]", "cat: [0.0, 0.5, 0.1, 1.0]"


@pytest.mark.parametrize(
    "objects",
    [
        [{"label": "dog", "x": 50, "y": 0, "w": 25, "h": 100}, {"label": "cat", "x": 0, "y": 100, "w": 10, "h": 100}],
        [{"category": "dog", "bbox": [50, 0, 25, 100]}, {"category": "cat", "bbox": [0, 100, 10, 100]}],
        {"name": ["dog", "cat"], "bbox": [[50, 0, 25, 100], [0, 100, 10, 100]], "area": [2500, 1000]},
        {"label": ["dog", "cat"], "x": [0.5, 0], "y": [0, 0.5], "w": [0.25, 0.1], "h": [0.5, 0.5]},
    ],
)
def test_boxes_become_edges_as_shares_of_the_picture(objects: Any) -> None:
    """A picture of 100 x 200: x from 50 to 75 is 0.5 to 0.75, y from 0 to 100 is 0 to 0.5. The last holds shares."""
    assert box_lines(objects, (100, 200), "row 1") == (DOG, CAT)


def test_edges_stay_inside_the_picture() -> None:
    assert box_lines([{"label": "dog", "bbox": [-5, 0, 120, 200]}], (100, 200), "row 1") == (
        "dog: [0.0, 0.0, 1.0, 1.0]",
    )


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([{"label": 3, "bbox": [0, 0, 1, 1]}], "row 1: expected a label of text for a box, got 3. Give each"),
        ([{"label": "dog", "bbox": [0, 0, 1]}], r"expected x, y, w, h of 'dog' as numbers, got \[0, 0, 1\]"),
        ([{"label": "dog", "x": 1}], "expected x, y, w, h of 'dog' as numbers"),
        (["dog"], "expected an object with a label and a box, got dog"),
    ],
)
def test_a_broken_box_names_its_row(objects: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        box_lines(objects, (100, 200), "row 1")


def written(folder: Path, rows: list[dict[str, Any]]) -> str:
    """Rows as JSONL; `image` is a seed."""
    for row in rows:
        if "image" in row:
            picture(row["image"]).save(folder / f"{row['image']}.png")
            row["image"] = f"{row['image']}.png"
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / "rows.jsonl")


def rows_of(source: str, **given: Any) -> DatasetTable:
    pairs = PairChoice(policy="model")
    return source_table(SynthesisConfig(source, "preferences", Path("out.jsonl"), pairs=pairs, **given))


def test_captions_and_boxes_of_a_picture_are_shown_together(tmp_path: Path) -> None:
    """A row a caption, as many files have it; the second row repeats one. Boxes are of a picture of 40 x 40."""
    rows = [
        {"image": 0, "caption": "a dog \n runs", "objects": [{"label": "dog", "bbox": [0, 0, 20, 40]}]},
        {"image": 1, "caption": "a cat", "objects": None},
        {"image": 0, "caption": "one dog", "objects": None},
        {"image": 0, "caption": "a dog runs", "objects": None},
    ]
    source = written(tmp_path, rows)
    units = read_scenes(rows_of(source), None, BadRows())
    assert [unit.shown for unit in units] == ["a dog runs\none dog\n\ndog: [0.0, 0.0, 0.5, 1.0]", "a cat"]
    assert [unit.name for unit in units] == ["rows.jsonl row 1", "rows.jsonl row 2"]
    assert len(read_scenes(rows_of(source), 1, BadRows())) == 1


def test_questions_to_paraphrase_are_shown_as_lines_of_json(tmp_path: Path) -> None:
    source = written(tmp_path, [{"image": 0, "question": "what is it ?", "answer": "a “dog”"}])
    (unit,) = read_turns(rows_of(source), None, BadRows())
    assert unit.shown == '{"question": "what is it ?", "answer": "a “dog”"}'
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what is it ?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "a dog"}]},
        {"role": "user", "content": [{"type": "text", "text": "why ?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "it barks"}]},
    ]
    (unit,) = read_turns(rows_of(written(tmp_path, [{"image": 0, "messages": messages}])), None, BadRows())
    assert (unit.system, unit.pairs) == ("be brief", (("what is it ?", "a dog"), ("why ?", "it barks")))
    with pytest.raises(DataError, match="row 1: expected turns of user and assistant in alternation, got user, user"):
        read_turns(rows_of(written(tmp_path, [{"image": 0, "messages": [messages[1], messages[3]]}])), None, BadRows())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": 0, "title": "a dog"}, "row 1: expected captions in the column captions .* found image, title"),
        ({"caption": "a dog"}, "row 1: expected one picture in the column image, got 0 in caption"),
    ],
)
def test_a_row_without_captions_or_picture_is_named(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_scenes(rows_of(written(tmp_path, [row])), None, BadRows())


def test_columns_of_a_source_may_have_names_of_their_own(tmp_path: Path) -> None:
    source = written(tmp_path, [{"image": 0, "q": "what is it ?", "a": "a dog"}])
    (unit,) = read_turns(rows_of(source, columns=read_columns("question=q,answer=a")), None, BadRows())
    assert unit.pairs == (("what is it ?", "a dog"),)
    with pytest.raises(DataError, match="rows.jsonl: --columns question=p: there is no column 'p'"):
        rows_of(source, columns=read_columns("question=p"))


PAIR = '{"question": "What is it?", "answer": "A dog."}'


def test_pairs_are_read_from_lines_of_json_in_a_fence_or_not() -> None:
    expected = (("What is it?", "A dog."),) * 2
    assert read_pairs(f"{PAIR}\n\n{PAIR}") == read_pairs(f"```json\n{PAIR}\n{PAIR}\n```") == expected


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (f"Sure!\n{PAIR}", "expected a JSON object with question and answer, got 'Sure!'"),
        (f"{PAIR}\n" + PAIR[:-3], "expected a JSON object"),
        ('{"question": "What is it?"}', "expected a JSON object with question and answer"),
        ('{"question": "What?", "answer": "A dog.", "why": ""}', "expected a JSON object with question and answer"),
        ('{"question": "What?", "answer": " "}', "expected a text as answer, got ' '"),
        ('{"question": "What?", "answer": 3}', "expected a text as answer, got 3"),
        (f"[{PAIR}]", "expected a JSON object"),
        ('{"question": "Where?", "answer": "At [0.1, 0.2, 0.3, 0.4]."}', "a picture that is seen, got '\\[0.1,'"),
        ('{"question": "What do the captions say?", "answer": "A dog."}', "got 'the captions' in question"),
        ("", "expected at least 1 questions"),
    ],
)
def test_any_other_reply_is_refused_with_its_reason(reply: str, reason: str) -> None:
    with pytest.raises(ReplyError, match=reason):
        read_pairs(reply)


def test_a_conversation_has_two_questions_and_reasoning_one() -> None:
    unit: Any = None
    with pytest.raises(ReplyError, match="expected at least 2 questions with answers, got 1"):
        INSTRUCTIONS["conversation"].parse(PAIR, unit)
    with pytest.raises(ReplyError, match="expected 1 questions with answers, got 2"):
        INSTRUCTIONS["reasoning"].parse(f"{PAIR}\n{PAIR}", unit)
    with pytest.raises(ReplyError, match="expected 2 questions with answers, got 1"):
        INSTRUCTIONS["paraphrase"].parse(PAIR, Unit("", unit, "", (("a", "b"), ("c", "d"))))


def test_scores_and_descriptions_are_read_strictly() -> None:
    assert read_description('{"description": "A dog runs."}') == "A dog runs."
    assert read_score('{"score": 7, "reason": "a"}') == (7.0, "a")
    assert read_score('<think>5? No.</think>```json\n{"score": 7, "reason": "a"}\n```') == (7.0, "a")
    for said in ('{"score": 0, "reason": "a"}', '{"score": true, "reason": "a"}', '{"score": "7", "reason": "a"}'):
        with pytest.raises(ReplyError, match="expected a score from 1 to 10"):
            read_score(said)


def candidates(*scores: float | None) -> tuple[Candidate, ...]:
    return tuple(Candidate(f"answer {number}", "sample", score) for number, score in enumerate(scores))


def test_the_best_answer_is_chosen_over_the_worst_the_first_of_equals() -> None:
    own = candidates(0.5, 1.0, 0.0, 1.0, 0.0)
    choice = choose_pair(Sides(own, own))
    assert (choice.chosen, choice.rejected, choice.reason) == (own[1], own[2], "")
    unscored = candidates(None, None)
    choice = choose_pair(Sides(unscored, (Candidate("other", "noise"),)))
    assert choice.chosen == unscored[0] and choice.rejected == Candidate("other", "noise")


def test_there_is_no_pair_where_nothing_is_better() -> None:
    same = candidates(1.0, 1.0)
    assert choose_pair(Sides(same, same)).reason == NO_BETTER
    assert choose_pair(Sides(candidates(0.2), candidates(0.4))).reason == NO_BETTER
    said = (Candidate("A dog.", "sample"),), (Candidate("a dog", "noise"),)
    assert choose_pair(Sides(*said)).reason == ALIKE
    assert choose_pair(Sides((), same)).reason == NOTHING


@pytest.mark.parametrize("name", [*(kind for kind in KINDS if kind != "preferences"), "judge"])
def test_the_examples_of_a_shipped_prompt_are_replies_that_would_be_taken(name: str) -> None:
    prompt = read_prompt(name, None)
    assert bool(prompt.questions) == (name == "description") and prompt.examples
    unit: Any = None
    for shown, reply in prompt.examples:
        if name == "judge":
            assert 1 <= read_score(reply)[0] <= 10
        else:
            lines = tuple(("", "") for _ in shown.splitlines())
            assert INSTRUCTIONS[name].parse(reply, Unit("", unit, shown, lines))


def test_a_prompt_of_ones_own_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "reasoning.yaml").write_text("system: Ask.\nexamples:\n- {shown: a dog, reply: yes it is}\n")
    prompt = read_prompt("reasoning", tmp_path)
    roles = [(message["role"], message["content"]) for message in prompt.opening]
    assert roles == [("system", "Ask."), ("user", "a dog"), ("assistant", "yes it is")]
    assert prompt.hash != read_prompt("reasoning", None).hash
    with pytest.raises(
        ConfigError, match=f"--prompts: expected the file .*judge.yaml, found none. Copy {re.escape(str(SHIPPED))}"
    ):
        read_prompt("judge", tmp_path)
    for text, message in (
        ("system: 3", "expected `system`"), ("sytem: a", "found sytem"), ("a: [", "is no YAML"),
        ("system: a\nexamples: [b]", "expected each example to have `shown` and `reply`, got b"),
    ):  # fmt: skip
        (tmp_path / "judge.yaml").write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_prompt("judge", tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "conversations"}, "--kind: expected one of .*; got 'conversations'. Did you mean 'conversation'?"),
        ({"endpoint": ""}, r"--endpoint: name an OpenAI-compatible server \(and its --model\)\."),
        ({"model": ""}, "--model: name the model"),
        ({"output_path": Path("out")}, "--output_path: expected a .jsonl file, got out"),
        ({"temperature": 3.0}, "--temperature: expected 0 to 2, got 3"),
        ({"pairs": PairChoice(samples=8)}, "--kind reasoning: --policy, --samples, .* belong to --kind preferences"),
        ({"kind": "preferences", "pairs": PairChoice("m")}, "--policy stands for --endpoint and --model"),
        ({"kind": "preferences", "pairs": PairChoice(samples=1)}, "--samples: best and worst take at least 2"),
        ({"kind": "preferences", "temperature": 0}, "--temperature: at 0 all samples are alike"),
        ({"kind": "preferences", "pairs": PairChoice(judge="http://a")}, "--judge and --judge_model go together"),
        ({"kind": "preferences", "pairs": PairChoice(corruption="fog")}, "--corruption: expected one of noise, blur"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(given: dict[str, Any], message: str) -> None:
    settings: dict[str, Any] = {
        "source": "a.jsonl", "kind": "reasoning", "output_path": Path("out.jsonl"), "endpoint": "http://a/v1",
        "model": "m",
    }  # fmt: skip
    with pytest.raises(ConfigError, match=message):
        SynthesisConfig(**settings | given)
