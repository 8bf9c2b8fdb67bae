"""Completion prompt: what a request in OpenAI's words asks of an Engine.

- `messages` of system, developer, user and assistant. System messages come first and become one; neighbours of the
  same role become one turn, with an empty line between. Content is a text or parts `text` and `image_url`.
- Pictures are `data:` URLs only; nothing is ever fetched. `detail` is ignored: the model has its own budget of tiles. A
  single picture of a first question stands before everything, where models were taught to find it; otherwise
  pictures stand where the client put them.
- `temperature` is 1 unless said (0: greedy); without `seed` one is drawn and returned in the header
  `x-interleaf-seed`.
- `response_format`: text, json_object, json_schema (always strict). `stop`: at most four texts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

from interleaf.errors import PromptInvalid, PromptTooLong
from model.inference.engine import MAX_NEW_TOKENS, Grammar, Request, Sampling
from model.prompts.picture import size_px
from model.prompts.prompt import PICTURE, PicturePlace, Turn
from model.serving.completion_request import (
    SEEDS,
    AssistantMessage,
    ChatRequest,
    ImagePart,
    Part,
    PlainFormat,
    SchemaFormat,
    SystemMessage,
    TextPart,
    UserMessage,
)
from model.serving.data_url import picture_bytes

__all__ = ["MAX_PICTURES", "MAX_PIXELS", "request_of"]

# Bounds of what one request can make an engine hold. Whether so much fits its context, the engine says.
MAX_PICTURES: Final = 256
MAX_PIXELS: Final = 1_000_000_000  # of all pictures together: 3 GB when every one of them is decoded
MAX_STOP_CHARS: Final = 1_000
MAX_CHARS: Final = 4_000_000  # of all words: more than any context holds, and still quickly counted
MAX_SCHEMA_CHARS: Final = 256 * 1024


def request_of(asked: ChatRequest, draw_seed: Callable[[], int]) -> Request:
    """What the engine is asked. `draw_seed` gives a seed, 0 to 2^63 - 1, where the client gave none.

    PromptInvalid: messages in no usable order, or a number out of its range. PromptTooLong: more words, pictures or
    pixels than any model is asked about; pictures are counted before one is looked at, and of none more than the head
    is read. PictureUnreadable: no picture in a `data:` URL, named by its place."""
    words = [message for message in asked.messages if not isinstance(message, SystemMessage)]
    first = list(asked.messages[: len(asked.messages) - len(words)])
    if any(not isinstance(message, SystemMessage) for message in first):
        raise PromptInvalid("messages", "have a system message after the first question.", "Put it first.")
    system = "\n\n".join(text for message in first if (text := _text(message.content)))
    _check_count(words)
    turns, pictures = _turns(words)
    _check_pixels(pictures)
    chars = len(system) + sum(len(part) for turn in turns for part in turn.parts if isinstance(part, str))
    if chars > MAX_CHARS:
        raise PromptTooLong("messages", f"have {chars:,} characters of at most {MAX_CHARS:,}.", "Send less.")
    if len(pictures) == 1 and PICTURE in turns[0].parts:
        rest = tuple(part for part in turns[0].parts if not isinstance(part, PicturePlace))
        turns = (Turn("user", rest or ("",)), *turns[1:]) if _says(rest) else turns
    return Request(
        turns=turns,
        pictures=pictures,
        system=system,
        sampling=_sampling(asked, draw_seed),
        stops=_stops(asked.stop),
        grammar=_grammar(asked.response_format),
        task=asked.task,
    )


def _check_count(messages: Iterable[UserMessage | AssistantMessage]) -> None:
    contents = [message.content for message in messages]
    count = sum(isinstance(part, ImagePart) for content in contents for part in content)
    if count > MAX_PICTURES:
        raise PromptTooLong("messages", f"hold {count:,} pictures of at most {MAX_PICTURES}.", "Send fewer.")


def _check_pixels(pictures: Sequence[bytes]) -> None:
    pixels = sum(math.prod(size_px(data, f"picture {number}")) for number, data in enumerate(pictures, 1))
    if pixels > MAX_PIXELS:
        problem = f"hold {len(pictures)} pictures of {pixels:,} px in all; at most {MAX_PIXELS:,} are taken."
        raise PromptTooLong("messages", problem, "Send fewer, or scale them down.")


def _turns(messages: Iterable[UserMessage | AssistantMessage]) -> tuple[tuple[Turn, ...], tuple[bytes, ...]]:
    """Turns that alternate, and the bytes of the pictures that they hold."""
    grown: list[tuple[Literal["user", "assistant"], list[str | PicturePlace]]] = []
    pictures: list[bytes] = []
    for message in messages:
        if grown and grown[-1][0] == message.role:
            grown[-1][1].append("\n\n")
        else:
            grown.append((message.role, []))
        parts = grown[-1][1]
        content = [message.content] if isinstance(message.content, str) else message.content
        for part in content:
            if isinstance(part, ImagePart):
                pictures.append(picture_bytes(part.image_url.url, f"picture {len(pictures) + 1}"))
                parts.append(PICTURE)
                continue
            text = part if isinstance(part, str) else part.text
            if parts and isinstance(parts[-1], str) and not isinstance(part, str) and parts[-1] != "\n\n":
                parts.append("\n")
            parts.append(text)
    if not grown or grown[0][0] != "user" or grown[-1][0] != "user":
        raise PromptInvalid("messages", "do not begin and end with the user's.", "Let the user ask first and last.")
    turns = tuple(Turn(role, tuple(_joined(parts))) for role, parts in grown)
    if not _says(turns[-1].parts):
        raise PromptInvalid("messages", "end with one that is empty or only blanks.", "Ask something.")
    return turns, tuple(pictures)


def _joined(parts: Iterable[str | PicturePlace]) -> list[str | PicturePlace]:
    """Words beside words as one."""
    joined: list[str | PicturePlace] = []
    for part in parts:
        if joined and isinstance(part, str) and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def _says(parts: Iterable[str | PicturePlace]) -> bool:
    return any(isinstance(part, PicturePlace) or part.strip() for part in parts)


def _text(content: str | list[TextPart] | list[Part]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content if isinstance(part, TextPart))


def _sampling(asked: ChatRequest, draw_seed: Callable[[], int]) -> Sampling:
    limits = {limit for limit in (asked.max_tokens, asked.max_completion_tokens) if limit is not None}
    if len(limits) > 1:
        raise PromptInvalid("max_tokens", "differs from max_completion_tokens.", "Give one of the two.")
    temperature = 1.0 if asked.temperature is None else asked.temperature
    top_p = 1.0 if asked.top_p is None else asked.top_p
    greedy = temperature == 0 or top_p == 0
    return Sampling(
        max_new_tokens=limits.pop() if limits else MAX_NEW_TOKENS,
        do_sample=not greedy,
        temperature=1.0 if greedy else temperature,
        top_k=asked.top_k or 0,
        top_p=1.0 if greedy else top_p,
        repetition_penalty=1.0 if asked.repetition_penalty is None else asked.repetition_penalty,
        seed=draw_seed() if asked.seed is None else asked.seed % SEEDS,
    )


def _stops(stop: str | list[str] | None) -> tuple[str, ...]:
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > 4 or not all(0 < len(text) <= MAX_STOP_CHARS for text in stops):
        raise PromptInvalid("stop", "has more than 4 texts, or one is empty or very long.", "Give 1 to 4 short texts.")
    return stops


def _grammar(form: PlainFormat | SchemaFormat | None) -> Grammar | None:
    if isinstance(form, SchemaFormat):
        schema = form.json_schema.schema_
        if len(json.dumps(schema)) > MAX_SCHEMA_CHARS:
            raise PromptInvalid(
                "response_format", f"has a schema of more than {MAX_SCHEMA_CHARS >> 10} KiB.", "Shorten."
            )
        return Grammar(json_schema=schema)
    return Grammar(json_schema={"type": "object"}) if form is not None and form.type == "json_object" else None
