"""The server as its clients meet it: the real `openai` package and bare HTTP against a real uvicorn."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from PIL import Image, ImageFile

from model.prompts.prompt import PicturePlace
from model.serving.completion_prompt import MAX_PICTURES, MAX_PIXELS
from tests.fake_engine import FakeEngine
from tests.model.served_model import SayingEngine, client_of, picture, served, until, user, words


@pytest.fixture(scope="module")
def engine() -> SayingEngine:
    return SayingEngine()


@pytest.fixture(scope="module")
def address(engine: SayingEngine) -> Iterator[str]:
    with served(engine, max_body_bytes=300_000) as where:
        yield where


@pytest.fixture(scope="module")
def client(address: str) -> openai.OpenAI:
    return client_of(address)


def test_a_chat_over_several_turns(client: openai.OpenAI, engine: SayingEngine) -> None:
    first = client.chat.completions.create(model="tiny", messages=user("Where is Ely?"), user="me", n=1)
    message = first.choices[0].message
    assert (message.role, message.content, first.choices[0].finish_reason) == ("assistant", "Where is Ely?", "stop")
    assert first.usage is not None
    assert (first.usage.prompt_tokens, first.usage.completion_tokens, first.usage.total_tokens) == (3, 3, 6)
    assert (first.created, first.model, first.object) == (1_000, "tiny", "chat.completion")
    turns: list[Any] = [
        {"role": "system", "content": "Be kind."},
        {"role": "developer", "content": [words("Be short.")]},
        *user("Where is Ely?"),
        message.model_dump(),  # with all its empty fields
        *user("And"),
        *user([words("its"), words("church?")]),
    ]
    assert client.chat.completions.create(model="tiny", messages=turns).choices[0].message.content is not None
    asked = engine.asked[-1]
    assert asked.system == "Be kind.\n\nBe short."
    assert [(turn.role, turn.parts) for turn in asked.turns] == [
        ("user", ("Where is Ely?",)),
        ("assistant", ("Where is Ely?",)),
        ("user", ("And\n\nits\nchurch?",)),
    ]


def test_streaming(client: openai.OpenAI) -> None:
    options: Any = {"include_usage": True}
    made = client.chat.completions.create(
        model="tiny", messages=user("one two three"), stream=True, stream_options=options
    )
    chunks = list(made)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].delta.content for c in chunks[1:4]] == ["one", " two", " three"]
    assert [c.choices[0].finish_reason for c in chunks[:-1]] == [None] * 4 + ["stop"]
    assert chunks[-1].choices == [] and chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 3
    assert len({c.id for c in chunks}) == 1
    plain = list(client.chat.completions.create(model="tiny", messages=user("one"), stream=True))
    assert [c.usage for c in plain] == [None] * 3


def test_the_stream_is_events_that_end_with_done(address: str) -> None:
    body = {"model": "tiny", "messages": user("a\nb"), "stream": True}
    answer = httpx.post(f"{address}/v1/chat/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""] and all(event.startswith("data: ") for event in events[:-1])
    assert "access-control-allow-origin" not in answer.headers


def test_pictures_stand_where_they_were_put(client: openai.OpenAI, engine: SayingEngine) -> None:
    two = [words("This"), picture("red"), words("or this"), picture("blue"), words("?")]
    answer = client.chat.completions.create(model="tiny", messages=user(two))
    asked = engine.asked[-1]
    assert [isinstance(part, PicturePlace) for part in asked.turns[0].parts] == [False, True, False, True, False]
    colours = [Image.open(io.BytesIO(seen)).getpixel((0, 0)) for seen in asked.pictures if isinstance(seen, bytes)]
    assert colours == [(255, 0, 0), (0, 0, 255)]
    assert answer.usage is not None and answer.usage.prompt_tokens == 24
    client.chat.completions.create(model="tiny", messages=user([words("What is it?"), picture()]))
    assert engine.asked[-1].turns[0].parts == ("What is it?",) and len(engine.asked[-1].pictures) == 1


def test_forms_stops_and_sampling_reach_the_engine(client: openai.OpenAI, engine: SayingEngine) -> None:
    schema = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
    form: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": True}}
    said = client.chat.completions.create(model="tiny", messages=user("Where?"), response_format=form)
    assert json.loads(said.choices[0].message.content or "") == {"town": "Ely"}
    grammar = engine.asked[-1].grammar
    assert grammar is not None and grammar.json_schema == schema
    said = client.chat.completions.create(
        model="tiny", messages=user("Where?"), response_format={"type": "json_object"}
    )
    assert said.choices[0].message.content == "{}"

    said = client.chat.completions.create(model="tiny", messages=user("a b c d"), stop=["c"])
    assert said.choices[0].message.content == "a b" and said.choices[0].finish_reason == "stop"
    client.chat.completions.create(model="tiny", messages=user("a"), stop="x")
    assert engine.asked[-1].stops == ("x",)
    said = client.chat.completions.create(model="tiny", messages=user("a b c d"), max_completion_tokens=2)
    assert said.choices[0].message.content == "a b" and said.choices[0].finish_reason == "length"

    client.chat.completions.create(
        model="tiny",
        messages=user("a"),
        temperature=0.5,
        top_p=0.9,
        seed=-1,
        max_tokens=5,
        extra_body={"top_k": 7, "repetition_penalty": 1.1, "task": "write"},
    )
    used, task = engine.asked[-1].sampling, engine.asked[-1].task
    assert (used.do_sample, used.temperature, used.top_p, used.top_k, used.repetition_penalty, used.seed, task) == (
        *(True, 0.5, 0.9, 7, 1.1, 2**63 - 1),
        "write",
    )
    assert used.max_new_tokens == 5
    client.chat.completions.create(model="tiny", messages=user("a"), temperature=0)
    assert not engine.asked[-1].sampling.do_sample
    raw = client.chat.completions.with_raw_response.create(model="tiny", messages=user("a"))
    assert engine.asked[-1].sampling.do_sample and engine.asked[-1].sampling.seed == 77
    assert raw.headers["x-interleaf-seed"] == "77"


HUGE = {"name": "huge", "schema": {"enum": ["x" * 263_000]}}


def test_schemas_and_seeds_through_an_engine_that_draws_tokens() -> None:
    schema = {
        "type": "object",
        "properties": {"town": {"enum": ["Ely", "Wells"]}, "towers": {"enum": [1, 2, 3]}},
        "required": ["town", "towers"],
        "additionalProperties": False,
    }
    form: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}
    with served(FakeEngine()) as address:
        ask = client_of(address).chat.completions.create
        said = [
            ask(model="tiny", messages=user("Where?"), response_format=form, seed=seed, max_tokens=200)
            for seed in (1, 1, 2, 3, 4, 5)
        ]
        texts = [made.choices[0].message.content or "" for made in said]
        assert texts[0] == texts[1] and len(set(texts)) > 1
        for text in texts:
            value = json.loads(text)
            assert value["town"] in ("Ely", "Wells") and value["towers"] in (1, 2, 3) and len(value) == 2
        free = [
            ask(model="tiny", messages=user("Where?"), seed=seed, max_tokens=20).choices[0].message.content
            for seed in (1, 1, 2)
        ]
        assert free[0] == free[1] != free[2]


TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tools": [TOOL]}, "tools"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"logit_bias": {"5": 100}}, "logit_bias"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"colour": "blue"}, "colour"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 4, "max_completion_tokens": 5}, "max_tokens"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"messages": []}, "messages"),
        ({"messages": user("  \n")}, "messages"),
        ({"messages": [{"role": "assistant", "content": "hi"}]}, "messages"),
        ({"messages": [*user("a"), {"role": "assistant", "content": "b"}]}, "messages"),
        ({"messages": [*user("a"), {"role": "system", "content": "b"}]}, "messages"),
        ({"messages": [*user("a"), {"role": "tool", "content": "b", "tool_call_id": "1"}]}, "messages.1"),
        ({"messages": user([{"type": "input_audio", "input_audio": {}}])}, "messages.0.user.content"),
        ({"messages": user([picture()] * 257)}, "messages"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": HUGE}}, "response_format"),
    ],
)
def test_what_is_not_offered_is_refused_by_name(client: openai.OpenAI, fields: dict[str, Any], named: str) -> None:
    body = {"model": "tiny", "messages": user("hi"), **fields}
    with pytest.raises(openai.BadRequestError) as refused:
        client.post("/chat/completions", body=body, cast_to=object)
    assert refused.value.type == "invalid_request_error"
    assert refused.value.param is not None and refused.value.param.startswith(named)


def test_neutral_values_of_what_is_not_offered_pass(client: openai.OpenAI) -> None:
    neutral = {"tools": [], "tool_choice": "none", "n": 1, "logprobs": False, "presence_penalty": 0.0, "stop": None}
    body = {"model": "tiny", "messages": user("hi"), "metadata": {"a": "b"}, **neutral}
    assert client.post("/chat/completions", body=body, cast_to=object)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/cat.png",
        "file:///etc/passwd",
        "/etc/passwd",
        "data:text/html;base64,aGk=",
        "data:image/png;base64,???",
        "data:image/png;base64,aGk=",
        "data:image/svg+xml;base64," + base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode(),
    ],
)
def test_pictures_are_data_or_nothing(client: openai.OpenAI, engine: SayingEngine, url: str) -> None:
    asked = len(engine.asked)
    content = [words("What?"), {"type": "image_url", "image_url": {"url": url}}]
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="tiny", messages=user(content))
    assert (refused.value.code, refused.value.param) == ("invalid_image_url", "picture 1")
    assert len(engine.asked) == asked


def test_errors_have_their_shape_and_status(client: openai.OpenAI, address: str) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="other", messages=user("hi"))
    assert unknown.value.code == "model_missing" and "tiny" in unknown.value.message
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as long:
            client.chat.completions.create(model="tiny", messages=user("w " * 101), stream=stream)
        assert long.value.code == "context_length_exceeded"
    where = f"{address}/v1/chat/completions"
    as_json = {"content-type": "application/json"}
    for body in (b"", b"{", b"[1]", b'{"model": "\xff"}', b"[" * 100_000, b'{"model":"tiny","messages":"\\ud800"}'):
        answer = httpx.post(where, content=body, headers=as_json)
        assert answer.status_code == 400 and answer.json()["error"]["message"]
    assert httpx.get(where).status_code == 405
    assert httpx.get(f"{address}/v1/none").json()["error"]["code"] == "not_found"
    with pytest.raises(openai.NotFoundError, match="There are POST /v1/chat/completions"):
        client.responses.create(model="tiny", input="hi")
    for path in ("/docs", "/openapi.json", "/redoc"):
        assert httpx.get(address + path).status_code == 404


def test_more_words_than_any_context_holds_are_not_even_counted(engine: SayingEngine) -> None:
    asked = len(engine.asked)
    with served(engine) as address, pytest.raises(openai.BadRequestError, match="characters") as long:
        client_of(address).chat.completions.create(model="tiny", messages=user("w" * 4_000_001))
    assert long.value.code == "context_length_exceeded" and len(engine.asked) == asked


def test_a_body_that_is_too_large_is_not_read(address: str) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 10_000

    as_json = {"content-type": "application/json"}
    answer = httpx.post(f"{address}/v1/chat/completions", content=parts(), headers=as_json)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        raw.sendall(f"{head}Content-Length: 999999999999\r\n\r\n".encode("ascii"))
        assert b" 413 " in raw.recv(100)


def test_a_body_that_does_not_come_loses_its_place() -> None:
    """A client that dribbles bytes never ends by itself; its place goes to the next one when its time is over."""
    with served(SayingEngine(), queue_places=1, body_timeout_s=0.5) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as slow:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            slow.sendall(f"{head}Content-Length: 1000\r\n\r\n".encode("ascii"))
            began, dribbled = time.monotonic(), threading.Event()

            def dribble() -> None:
                for _ in range(100):
                    try:
                        slow.sendall(b" ")
                    except OSError:
                        return
                    if dribbled.wait(0.05):
                        return

            client = client_of(address)
            thread = threading.Thread(target=dribble)
            thread.start()
            try:
                time.sleep(0.1)
                with pytest.raises(openai.InternalServerError):  # its place is taken
                    client.chat.completions.create(model="tiny", messages=user("hi"))
                said = slow.recv(1_000)
            finally:
                dribbled.set()
                thread.join(10)
            assert b" 408 " in said and b"did not come within 0.5 s" in said + slow.recv(1_000)
            assert 0.4 < time.monotonic() - began < 5
        assert client.chat.completions.create(model="tiny", messages=user("hi")).choices[0].message.content == "hi"


def of_many_pixels() -> dict[str, Any]:
    """A picture of 81 megapixels in a few kilobytes."""
    file = io.BytesIO()
    Image.new("1", (9_000, 9_000)).save(file, "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    return {"type": "image_url", "image_url": {"url": url}}


def test_more_pictures_or_pixels_than_a_request_may_hold_are_refused_and_none_is_decoded(
    engine: SayingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    true_load = ImageFile.ImageFile.load

    def watched(self: ImageFile.ImageFile) -> Any:
        decoded.append(self.size)
        return true_load(self)

    huge = of_many_pixels()
    monkeypatch.setattr(ImageFile.ImageFile, "load", watched)
    asked = len(engine.asked)
    with served(engine) as address:
        client = client_of(address)
        for content, said in (
            ([huge] * 200, f"200 pictures of {200 * 81_000_000:,} px in all; at most {MAX_PIXELS:,}"),
            ([huge] * 300, f"300 pictures of at most {MAX_PICTURES}"),
        ):
            with pytest.raises(openai.BadRequestError) as refused:
                client.chat.completions.create(model="tiny", messages=user([*content, words("Which?")]))
            assert said in refused.value.message and refused.value.code == "context_length_exceeded"
    assert decoded == [] and len(engine.asked) == asked


def test_a_model_that_never_stops_ends_with_length(client: openai.OpenAI) -> None:
    said = client.chat.completions.create(model="tiny", messages=user("forever"))
    assert said.choices[0].finish_reason == "length"
    assert said.usage is not None and said.usage.completion_tokens == 1_024, "where a client sets no limit"
    stream = client.chat.completions.create(model="tiny", messages=user("forever"), max_tokens=7, stream=True)
    finishes = [chunk.choices[0].finish_reason for chunk in stream]
    assert finishes == [None] * 8 + ["length"]


def test_models_and_health(client: openai.OpenAI, address: str) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "interleaf"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")
    assert httpx.get(f"{address}/health").json() == {"status": "ok"}


def test_a_client_that_goes_away_stops_its_answer() -> None:
    engine = SayingEngine(hold=threading.Event())
    with served(engine) as address:
        client = client_of(address)
        stream = client.chat.completions.create(model="tiny", messages=user("forever"), stream=True, max_tokens=99_999)
        next(iter(stream))
        stream.close()
        until(lambda: engine.ended == ["canceled"])
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=0.3).chat.completions.create(
                model="tiny", messages=user("forever"), max_tokens=99_999
            )
        until(lambda: engine.ended == ["canceled", "canceled"])
        said = client.chat.completions.create(model="tiny", messages=user("hi"))
        assert said.choices[0].message.content == "hi"


def test_a_full_queue_says_when_to_try_again_and_one_is_answered_at_a_time() -> None:
    engine = SayingEngine(hold=threading.Event())
    with served(engine, queue_places=2) as address:
        client = client_of(address)
        stream = client.chat.completions.create(model="tiny", messages=user("forever"), stream=True, max_tokens=99_999)
        next(iter(stream))
        said: list[str | None] = []

        def wait() -> None:
            while not said:
                try:
                    answer = client.chat.completions.create(model="tiny", messages=user("hi"))
                    said.append(answer.choices[0].message.content)
                except openai.InternalServerError:
                    time.sleep(0.05)  # a probe below had its place

        second = threading.Thread(target=wait)
        second.start()

        def full() -> bool:
            try:
                client.chat.completions.create(model="other", messages=user("hi"))
            except openai.NotFoundError:
                return False
            except openai.InternalServerError as error:
                assert error.status_code == 503 and error.code == "model_busy"
                assert error.response.headers["retry-after"] == "5"
                return True
            raise AssertionError("an unknown model answered")

        until(full)
        assert len(engine.asked) == 1 and said == []
        stream.close()
        second.join(10)
        assert said == ["hi"]


def test_what_goes_wrong_in_the_middle_is_an_error_of_the_stream() -> None:
    with served(SayingEngine(fails_after=2)) as address:
        client = client_of(address)
        got: list[str | None] = []
        with pytest.raises(openai.APIError, match="full"):
            stream = client.chat.completions.create(model="tiny", messages=user("a b c"), stream=True)
            got.extend(chunk.choices[0].delta.content for chunk in stream)
        assert got == ["", "a", " b"]
        with pytest.raises(openai.InternalServerError) as failed:
            client.chat.completions.create(model="tiny", messages=user("a b c"))
        assert (failed.value.status_code, failed.value.code) == (503, "out_of_memory")


def test_a_server_that_ends_stops_the_answer() -> None:
    engine = SayingEngine(hold=threading.Event())
    with served(engine) as address:
        stream = client_of(address).chat.completions.create(
            model="tiny", messages=user("forever"), stream=True, max_tokens=99_999
        )
        next(iter(stream))
    assert engine.ended == ["canceled"]
