"""Whatever a network's numbers are, an answer under a grammar fits it; hostile grammars are refused, and quickly."""

from __future__ import annotations

import json
import math
import re
import time
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from interleaf.errors import ModelError, PromptInvalid, Unsupported
from model.inference.engine import Grammar, Sampling
from model.inference.grammar import GrammarCompiler
from model.inference.sampling import Chooser
from model.prompts.token_bytes import token_bytes
from model.prompts.tokenizer import XComposerTokenizer
from tests.model.small_vocabulary import TEXT, folder_with


def byte_level() -> PreTrainedTokenizerFast:
    """A vocabulary as Qwen-VL and SmolVLM have it, in small."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TEXT.splitlines(), trainer)
    backend.add_tokens(["<think>"])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>")


class Told:
    """Random logits under a grammar, of a vocabulary with byte pieces or a byte-level one."""

    def __init__(self, tokenizer: Any, ends: list[int]) -> None:
        self.tokenizer, self.ends, self.width = tokenizer, ends, len(tokenizer) + 3
        self.compiler = GrammarCompiler.of(tokenizer, self.width, ends)

    def answer(self, grammar: Grammar, seed: int, tokens: int = 1_500) -> tuple[str, bool]:
        """Text, and whether it ended by itself. Closing pieces are likely, so that answers come to an end."""
        matcher, chooser = self.compiler.matcher(grammar), Chooser(Sampling(do_sample=True, seed=seed), ())
        numbers = torch.Generator().manual_seed(seed)
        ids: list[int] = []
        closing = [i for i, p in enumerate(token_bytes(self.tokenizer)) if p in (b'"', b"}", b"]", b"\n", b">")]
        for _ in range(tokens):
            logits = torch.randn(self.width, generator=numbers) * 3
            logits[[*closing, *self.ends]] += 9
            matcher.allow(logits)
            token = chooser.choose(logits)
            if token in self.ends:
                assert matcher.complete
                return self.text(ids), True
            matcher.accept(token)
            ids.append(token)
            if matcher.finished:
                return self.text(ids), True
        return self.text(ids), False

    def text(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


@pytest.fixture(scope="module", params=["byte pieces", "byte level"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    if request.param == "byte level":
        tokenizer = byte_level()
        return Told(tokenizer, [tokenizer.eos_token_id])
    own = XComposerTokenizer.from_folder(folder_with(tmp_path_factory.mktemp("vocabulary")))
    return Told(own, [own.turn_end_id, own.eos_token_id])


WORDS = st.text(st.sampled_from('ab "\\\n漢é🌊<>{}'), min_size=1, max_size=5)
LEAVES = st.one_of(
    st.sampled_from([{"type": "string", "maxLength": 12}, {"type": "boolean"}, {"type": "null"}]),
    st.sampled_from(
        [{"type": "integer", "minimum": -3, "maximum": 120}, {"type": "number", "minimum": 0, "maximum": 1}]
    ),
    st.lists(WORDS, min_size=1, max_size=4, unique=True).map(lambda words: {"enum": words}),
    st.just({"type": "string", "pattern": "^[A-D]{1,3}$"}),
)


def _object(parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": parts, "required": sorted(parts)[::2], "additionalProperties": False}


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.integers(0, 2)).map(
            lambda it: {"type": "array", "items": it[0], "minItems": it[1], "maxItems": it[1] + 2}
        ),
        st.dictionaries(WORDS, inner, max_size=3).map(_object),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: {"anyOf": some}),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(schema=SCHEMAS, seed=st.integers(0, 2**32))
def test_an_answer_under_a_schema_parses_and_fits_it(told: Told, schema: dict[str, Any], seed: int) -> None:
    text, ended = told.answer(Grammar(json_schema=schema), seed)
    assert ended, "everything in these schemas has an end"
    jsonschema.validate(json.loads(text), schema)


@pytest.mark.parametrize(
    ("ebnf", "form"),
    [
        ('root ::= "<Seg " [0-9]{1,3} ">" ("\\n" root)?', r"<Seg [0-9]{1,3}>(\n<Seg [0-9]{1,3}>)*"),
        ("root ::= letter\nletter ::= [A-D]", "[A-D]"),
        ('root ::= item{1,3}\nitem ::= "- " [a-z漢]{1,8} "\\n"', "(- [a-z漢]{1,8}\n){1,3}"),
    ],
)
def test_an_answer_under_an_ebnf_fits_it(told: Told, ebnf: str, form: str) -> None:
    for seed in range(10):
        text, ended = told.answer(Grammar(ebnf=ebnf), seed)
        assert ended and re.fullmatch(form, text), text


def test_an_answer_that_was_cut_short_is_the_beginning_of_one_that_fits(told: Told) -> None:
    text, ended = told.answer(Grammar(json_schema={"const": {"title": "Tides", "n": 3}}), 1, tokens=4)
    assert not ended
    assert json.dumps({"title": "Tides", "n": 3}).startswith(text)


def test_answers_under_one_grammar_do_not_disturb_each_other(told: Told) -> None:
    grammar = Grammar(json_schema={"enum": ["ab", "cd"]})
    first, second = told.compiler.matcher(grammar), told.compiler.matcher(grammar)
    logits = torch.zeros(told.width)
    first.allow(logits)
    first.accept(int(logits.argmax()))
    fresh, of_second = torch.zeros(told.width), torch.zeros(told.width)
    told.compiler.matcher(grammar).allow(fresh)
    second.allow(of_second)
    assert of_second.equal(fresh)
    assert of_second[told.ends].tolist() == [-math.inf] * len(told.ends), "nothing was said yet"


def test_any_pieces_may_spell_what_must_come(told: Told) -> None:
    """Otherwise an answer would be made of pieces that the model would not have chosen."""
    pieces = token_bytes(told.tokenizer)
    for grammar in (Grammar(json_schema={"const": "the image"}), Grammar(ebnf='root ::= "\\"the image\\""')):
        matcher = told.compiler.matcher(grammar)
        matcher.accept(pieces.index(b'"'))
        logits = torch.zeros(told.width)
        matcher.allow(logits)
        left = [pieces[i] for i in (logits == 0).nonzero().flatten().tolist()]
        assert sorted(map(bytes, left)) == sorted(p for p in pieces if p and b'the image"'.startswith(p))
        assert len(left) > 1


def test_control_pieces_and_gaps_never_come(told: Told) -> None:
    matcher, logits = told.compiler.matcher(Grammar(json_schema={"type": "string"})), torch.zeros(told.width)
    matcher.allow(logits)
    pieces = token_bytes(told.tokenizer)
    for token, value in enumerate(logits.tolist()):
        if token >= len(pieces) or pieces[token] is None:
            assert value == -math.inf
    with pytest.raises(ModelError, match="does not take token"):
        matcher.accept(told.width - 1)


def _nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


LOOP: dict[str, Any] = {}
LOOP["items"] = LOOP


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (_nested(50_000), "nested more than 32 deep"),
        (LOOP, "nested more than 32 deep"),
        ({"enum": list(range(5_000))}, "more than 4,096 values"),
        ({"enum": ["a" * 70_000]}, "70,.*characters"),
        ({"$ref": "http://127.0.0.1:9/schema.json"}, "cannot be kept"),
        ({"$ref": "file:///etc/passwd"}, "cannot be kept"),
        ({"$ref": "#"}, "cannot be kept"),
        ({"type": "nonsense"}, "nonsense"),
        ({"type": "string", "not": {"const": "a"}}, "not"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "string", "pattern": "(("}, "regex"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "nsatisfiable"),
        ({"const": math.nan}, "is no JSON"),
        ({"const": object()}, "is no JSON"),
    ],
)
def test_a_schema_that_cannot_be_kept_is_refused_at_once(told: Told, schema: dict[str, Any], said: str) -> None:
    began = time.perf_counter()
    with pytest.raises(PromptInvalid, match=said) as caught:
        told.compiler.matcher(Grammar(json_schema=schema))
    assert caught.value.remedy
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    "ebnf",
    ["", "words", "root ::= x", "root ::= root", "root ::= (((", "root ::= [", 'x ::= "a"', "root ::= " + "(" * 40],
)
def test_an_ebnf_that_cannot_be_kept_is_refused(told: Told, ebnf: str) -> None:
    with pytest.raises(PromptInvalid, match="grammar"):
        told.compiler.matcher(Grammar(ebnf=ebnf))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "integer"}, "minItems": 10**9},
        {"type": "string", "minLength": 10**9},
        {"type": "string", "pattern": "^(a+)+b$"},
        {"type": "string", "pattern": "^(x{1000}){1000}$"},
        {"type": "object", "properties": {f"p{i}": {"type": "string", "pattern": "a{1,50}b"} for i in range(900)}},
    ],
)
def test_a_costly_grammar_is_kept_or_refused_but_never_hangs(told: Told, schema: dict[str, Any]) -> None:
    began = time.perf_counter()
    try:
        told.answer(Grammar(json_schema=schema), 0, tokens=20)
    except PromptInvalid as error:
        assert "grammar" in error.message
    assert time.perf_counter() - began < 20


def test_a_tokenizer_that_writes_in_another_way_is_refused() -> None:
    odd = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")))
    with pytest.raises(Unsupported, match="no grammar can follow"):
        GrammarCompiler.of(odd, 2, [1])


def test_the_bytes_of_all_pieces_are_what_decoding_gives(told: Told) -> None:
    pieces = token_bytes(told.tokenizer)
    for start in range(0, len(pieces), 97):
        ids = [i for i in range(start, min(start + 97, len(pieces))) if pieces[i] is not None]
        whole = [i for i in ids if (pieces[i] or b"")[:1] < b"\x80" and (pieces[i] or b"").isascii()]
        assert told.text(whole) == b"".join(pieces[i] or b"" for i in whole).decode()


@pytest.mark.parametrize("width", [64 * 200, 64 * 200 + 37])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_exactly_the_bits_of_the_mask_are_left_whether_many_are_or_few(width: int, kind: torch.dtype) -> None:
    """Nearly all (within a text), nearly none (a brace), about half (a class of letters), beside another row."""
    pieces = [bytes([i]) for i in range(256)] + [b"%c%04d" % (97 + i % 26, i) for i in range(64 * 200 - 261)]
    compiler = GrammarCompiler(pieces, [len(pieces)], width)
    shares = set()
    for grammar, start in (
        (Grammar(json_schema={"type": "string"}), b'"'),
        (Grammar(json_schema={"type": "object", "properties": {}, "additionalProperties": False}), b""),
        (Grammar(ebnf="root ::= [a-m0-9]{1,90}"), b"a"),
    ):
        matcher = compiler.matcher(grammar)
        for byte in start:
            matcher.accept(byte)
        bits = np.unpackbits(np.frombuffer(matcher._state.compute_bitmask(), np.uint8), bitorder="little")
        left = torch.zeros(width, dtype=torch.bool)
        left[: len(pieces) + 1] = torch.from_numpy(bits[: len(pieces) + 1] > 0)
        shares.add(round(float(left.sum()) / width, 1))
        both = torch.randn(2, width + 5).to(kind)
        before = both.clone()
        matcher.allow(both[0])
        assert both[1].equal(before[1])
        assert both[0, width:].tolist() == [-math.inf] * 5
        assert both[0, :width].equal(before[0, :width].masked_fill(~left, -math.inf))
    assert shares == {0.0, 0.5, 1.0}
