"""What an author sees: items, params, helpers, and what may be given back."""

from typing import Any

import pytest

from tests.sandbox.worker.broker import Broker

MANY: list[dict[str, Any]] = [{"n": n} for n in range(250)]


def test_a_task_goes_from_offer_to_result(warm: Broker) -> None:
    outcome = warm.run("return {'total': items[0]['a'] + params['b']}", [{"a": 1}], params={"b": 2})

    assert (outcome.items, outcome.sources, outcome.error) == ([{"total": 3}], [-1], None)


def test_no_code_gives_no_item(warm: Broker) -> None:
    outcome = warm.run("# later")

    assert (outcome.items, outcome.error) == ([], None)


@pytest.mark.parametrize(
    ("code", "items"),
    [
        ("return None", []),
        ("return []", []),
        ("return {'a': 1}", [{"a": 1}]),
        ("return [{'a': 1}, {'a': 2}]", [{"a": 1}, {"a": 2}]),
        ("return ({'a': n} for n in range(2))", [{"a": 0}, {"a": 1}]),
        ("return map(lambda i: {**i, 'b': 1}, items)", [{"a": 7, "b": 1}]),
        ("yield {'a': 1}\nyield {'a': 2}", [{"a": 1}, {"a": 2}]),
        ("return items", [{"a": 7}]),
        ("from collections import OrderedDict\nreturn OrderedDict(a=1)", [{"a": 1}]),
    ],
)
def test_what_may_be_given_back(warm: Broker, code: str, items: list[dict[str, Any]]) -> None:
    assert warm.run(code, [{"a": 7}]).items == items


def test_an_input_item_that_is_given_back_keeps_its_place_and_others_have_none(warm: Broker) -> None:
    outcome = warm.run("items[2]['n'] = -1\nreturn [items[2], {'new': 1}, items[0]]", MANY)

    assert outcome.items == [{"n": -1}, {"new": 1}, {"n": 0}]
    assert outcome.sources == [2, -1, 0]


@pytest.mark.parametrize("code", ["return items", "for item in items: yield item", "return items[:]"])
def test_items_that_come_while_others_are_given_back_keep_their_place_too(warm: Broker, code: str) -> None:
    assert warm.run(code, MANY).sources == list(range(250))


def test_in_mode_each_everything_comes_from_the_item_at_work(warm: Broker) -> None:
    code = "if index == 1: return None\nreturn [{'n': item['n'], 'at': index}] * (index + 1)"
    outcome = warm.run(code, MANY[:3], "each")

    assert outcome.items == [{"n": 0, "at": 0}, *[{"n": 2, "at": 2}] * 3]
    assert outcome.sources == [0, 2, 2, 2]


def test_in_mode_each_with_an_item_brings_the_names_that_the_code_sees(warm: Broker) -> None:
    calls = [{"item": {"n": n}, "index": 7 + n, "params": {"vat": n / 10}} for n in range(2)]
    outcome = warm.run("return {'gross': item['n'] + params['vat'], 'at': index}", calls, "each_with")

    assert outcome.items == [{"gross": 0.0, "at": 7}, {"gross": 1.1, "at": 8}]
    assert outcome.sources == [0, 1]


def test_items_that_are_not_touched_are_not_asked_for(warm: Broker) -> None:
    outcome = warm.run("return {'count': len(items), 'first': items[0], 'more': bool(items)}", MANY)

    assert outcome.items == [{"count": 250, "first": {"n": 0}, "more": True}]
    assert outcome.requests == []


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("items[249]['n']", 249),
        ("items[-1]['n']", 249),
        ("[i['n'] for i in items[98:103]]", [98, 99, 100, 101, 102]),
        ("[i['n'] for i in items[::-100]]", [249, 149, 49]),
        ("sum(i['n'] for i in items)", 31125),
        ("items.index(items[120])", 120),
        ("[i['n'] for i in reversed(items)][:2]", [249, 248]),
        ("[items[k]['n'] for k in (240, 5, 130)]", [240, 5, 130]),
        ("items[250:]", []),
        ("repr(items)", "<250 items>"),
    ],
)
def test_items_are_a_sequence_whose_parts_come_when_they_are_touched(warm: Broker, code: str, value: object) -> None:
    assert warm.run(f"return {{'value': {code}}}", MANY).items == [{"value": value}]


def test_who_reads_all_items_is_sent_the_next_part_before_it_is_needed(warm: Broker) -> None:
    outcome = warm.run("for i in items:\n  if i['n'] == 0: print('begun')\nreturn None", MANY)

    assert outcome.requests == [(100, 250), (200, 250)]


def test_an_index_beyond_the_end_says_how_many_there_are(warm: Broker) -> None:
    assert warm.run("items[3]", MANY[:3]).message == "IndexError: there are 3 items, none at 3"


def test_code_may_bind_the_names_that_it_is_given_anew(warm: Broker) -> None:
    outcome = warm.run("items = [i for i in items if i['n'] > 247]\nparams = {}\nreturn items", MANY)

    assert outcome.items == [{"n": 248}, {"n": 249}]


def test_now_is_the_one_that_was_sent(warm: Broker) -> None:
    assert warm.run("return {'now': now, 'offset': now.utcoffset().total_seconds()}").items == [
        {"now": "2026-11-23T12:00:00+01:00", "offset": 3600.0}
    ]


def test_randomness_and_uuids_are_the_same_for_the_same_seed(warm: Broker) -> None:
    code = "import random, uuid\nfrom uuid import uuid4\nreturn {'a': random.random(), 'b': uuid.uuid4(), 'c': uuid4()}"
    first, again, other = (warm.run(code, seed=seed).items for seed in ("x", "x", "y"))

    assert first == again != other
    assert first[0]["b"] != first[0]["c"]


def test_what_is_printed_and_logged_becomes_lines(warm: Broker) -> None:
    code = """
import sys, warnings
print("one", 2)
print("with", "no end", end="")
print("of warning", file=sys.stderr)
log.debug("d")
log.error("bad", order=7, when=now, what=object)
"""
    lines = warm.run(code).lines

    assert [(line["level"], line["message"]) for line in lines] == [
        ("info", "one 2"),
        ("warning", "of warning"),
        ("debug", "d"),
        ("error", "bad"),
        ("info", "with no end"),
    ]
    assert lines[3]["fields"]["order"] == 7
    assert lines[3]["fields"]["when"] == "2026-11-23T12:00:00+01:00"


@pytest.mark.parametrize("character", ["\\U0001f600", "\\x00", "\\ud800", "x", '\\"'])
def test_long_lines_become_several_whatever_their_characters_are(warm: Broker, character: str) -> None:
    outcome = warm.run(
        f"print('{character}' * 40_000)\nlog.info('{character}' * 40_000)\nraise ValueError('{character}' * 9_000)"
    )

    assert [len(line) for line in outcome.printed] == [16_384, 16_384, 7_232, 16_384]
    assert len(outcome.message) == 4_096


def test_any_name_can_be_that_of_a_field(warm: Broker) -> None:
    [line] = warm.run("log.info('x', message=1, level=2, self=3)").lines

    assert (line["message"], line["fields"]) == ("x", {"message": 1, "level": 2, "self": 3})


def test_fields_that_are_not_json_do_not_fail_the_code(warm: Broker) -> None:
    outcome = warm.run("log.info('x', what=object(), many='y' * 20_000)\nlog.info('y', a={1, 2}, b=b'')")

    assert outcome.error is None
    assert outcome.lines[0]["fields"] == {"budflow": "the fields have more than 16384 bytes"}
    assert outcome.lines[1]["fields"] == {"a": [1, 2], "b": "b''"}


def test_lines_of_mode_each_name_their_item(warm: Broker) -> None:
    lines = warm.run("print(item['n'])\nprint('end', end='')", MANY[:2], "each").lines

    assert [(line["message"], line["item"]) for line in lines] == [("0", 0), ("end", 0), ("1", 1), ("end", 1)]


def test_progress_is_told_and_no_faster_than_anyone_could_read(warm: Broker) -> None:
    outcome = warm.run("for n in range(10_000): progress(n / 10_000, 'so far')")

    assert outcome.progress[0] == (0.0, "so far")
    assert len(outcome.progress) < 20


def test_results_are_sent_in_parts(warm: Broker) -> None:
    outcome = warm.run("for n in range(8): yield {'n': n, 'text': 'x' * 100_000}")

    assert [item["n"] for item in outcome.items] == list(range(8))
    assert max(outcome.parts) == 2


def test_one_large_item_goes_both_ways(warm: Broker) -> None:
    item = {"text": "ä" * 1_500_000}

    assert warm.run("return items[0]", [item]).items == [item]


def test_every_task_has_a_process_of_its_own(warm: Broker) -> None:
    warm.run("import json, builtins, os\njson.loads = None\nbuiltins.spoilt = 1\nos.environ['SPOILT'] = '1'")

    code = "import json, builtins, os\nspoilt = [hasattr(builtins, 'spoilt'), 'SPOILT' in os.environ]\n"
    assert warm.run(f"{code}return {{'a': json.loads('1'), 'b': spoilt}}").items == [{"a": 1, "b": [False, False]}]


def test_dataclasses_threads_subprocesses_and_forked_processes_work(warm: Broker) -> None:
    code = """
from __future__ import annotations
import subprocess, threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass

@dataclass
class Point:
    x: int

with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda n: print("thread", n), range(4)))
run = subprocess.run(["/bin/echo", "hello"], capture_output=True, text=True)
return {"x": Point(3).x, "out": run.stdout}
"""
    outcome = warm.run(code)

    assert outcome.error is None
    assert outcome.items == [{"x": 3, "out": "hello\n"}]
    assert sorted(outcome.printed) == ["thread 0", "thread 1", "thread 2", "thread 3"]


def test_processes_that_the_code_forks_can_print(warm: Broker) -> None:
    code = """
import multiprocessing, sys
context = multiprocessing.get_context("fork")
all_of_them = [context.Process(target=print, args=(f"process {n}",)) for n in range(3)]
for one in all_of_them: one.start()
for one in all_of_them: one.join()
return {"codes": [one.exitcode for one in all_of_them]}
"""
    outcome = warm.run(code)

    assert outcome.items == [{"codes": [0, 0, 0]}]
    assert sorted(outcome.printed) == ["process 0", "process 1", "process 2"]


def test_a_forked_process_that_goes_on_with_the_code_gives_nothing_back(warm: Broker) -> None:
    code = "import os, time\nif index == 0: forked = os.fork() == 0\nif index == 5: time.sleep(0.2)\n"
    outcome = warm.run(code + "return {'index': index, 'text': 'x' * 200_000}", MANY[:6], "each")

    assert [item["index"] for item in outcome.items] == [0, 1, 2, 3, 4, 5]
