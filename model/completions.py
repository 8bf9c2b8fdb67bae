"""Completions: OpenAI's `/v1/chat/completions` as data, and what a request of it asks of an Engine.

What clients may send, and what becomes of it:
- `messages` of system, developer, user and assistant. System messages come first and become one; neighbours of the
  same role become one turn, with an empty line between. Content is a text or parts `text` and `image_url`.
- Pictures are `data:` URLs only; nothing is ever fetched. `detail` is ignored: the model has its own budget of tiles. A
  single picture of a first question stands before everything, where models were taught to find it; otherwise
  pictures stand where the client put them.
- `temperature` is 1 unless said (0: greedy); without `seed` one is drawn and returned in the header
  `x-interleaf-seed`. `top_k`, `repetition_penalty` and `task` (base, write, web) are additions of ours.
- `response_format`: text, json_object, json_schema (always strict). `stop`: at most four texts.
- Tools, functions, audio, logprobs, penalties, several choices: refused by name when they ask for something; empty or
  neutral values pass, since clients send them. A field that nobody knows is refused too: it may mean something.
- `user`, `metadata` and the other fields of HARMLESS steer accounts, not answers: ignored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from interleaf.errors import PromptInvalid, PromptTooLong, Unsupported, shown
from model.config import Task
from model.data_url import picture_bytes
from model.engine import MAX_NEW_TOKENS, Grammar, Request, Sampling
from model.prompt import PICTURE, PicturePlace, Turn

__all__ = ["MAX_PICTURES", "ChatRequest", "parsed", "request_of"]

MAX_PICTURES: Final = 64
MAX_MESSAGES: Final = 1_024
MAX_STOP_CHARS: Final = 1_000
MAX_CHARS: Final = 4_000_000  # of all words: more than any context holds, and still quickly counted
MAX_SCHEMA_CHARS: Final = 256 * 1024
SEEDS: Final = 2**63

# Of accounts, caches and deadlines: no answer depends on them.
HARMLESS: Final = frozenset(
    {
        *("user", "metadata", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
        *("prediction", "parallel_tool_calls"),
    }
)
# What is not offered: the values that ask for nothing.
NEUTRAL: Final[Mapping[str, tuple[Any, ...]]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "moderation": (),
    "n": (1,),
    "presence_penalty": (0,),
    "reasoning_effort": ("none",),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": (),
    "web_search_options": (),
}


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TextPart(_Wire):
    """Words."""

    type: Literal["text"]
    text: str


class ImageUrl(_Wire):
    """Where a picture is: in the URL itself."""

    url: str
    detail: str | None = None


class ImagePart(_Wire):
    """A picture."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class SystemMessage(_Wire):
    """What the model is told first."""

    role: Literal["system", "developer"]
    content: str | list[TextPart]
    name: str | None = None


class UserMessage(_Wire):
    """A question. `name` is ignored."""

    role: Literal["user"]
    content: str | list[Part]
    name: str | None = None


class AssistantMessage(_Wire):
    """An earlier answer, as this server or another gave it."""

    role: Literal["assistant"]
    content: str | list[TextPart]
    name: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, said: Any) -> Any:
        """Clients send a received message back with all its empty fields."""
        if not isinstance(said, dict):
            return said
        extras = ("refusal", "annotations", "audio", "function_call", "tool_calls")
        return {key: value for key, value in said.items() if key not in extras or value not in (None, [])}


Message = Annotated[SystemMessage | UserMessage | AssistantMessage, Field(discriminator="role")]


class JsonSchema(_Wire):
    """A schema that the answer fits."""

    name: str = Field(max_length=64)
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class PlainFormat(_Wire):
    """Words, or any JSON object."""

    type: Literal["text", "json_object"]


class SchemaFormat(_Wire):
    """JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class StreamOptions(_Wire):
    """`include_usage`: a last piece that counts tokens. `include_obfuscation` is ignored: nothing is padded."""

    include_usage: bool = False
    include_obfuscation: bool | None = None


class ChatRequest(_Wire):
    """The body of a request, without what is ignored or neutral."""

    model: str = Field(max_length=200)
    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=0)
    repetition_penalty: float | None = Field(None, gt=0, le=10)
    seed: int | None = Field(None, ge=-SEEDS, lt=SEEDS)
    stop: str | list[str] | None = None
    response_format: Annotated[PlainFormat | SchemaFormat, Field(discriminator="type")] | None = None
    task: Task = "base"

    @model_validator(mode="before")
    @classmethod
    def _offered(cls, said: Any) -> Any:
        if not isinstance(said, dict):
            return said
        for field, neutral in NEUTRAL.items():
            value = said.get(field)
            if value is not None and value not in neutral:
                raise Unsupported(field, "is not offered by this server.", f"Leave {field} out.")
        ignored = HARMLESS | NEUTRAL.keys()
        return {key: value for key, value in said.items() if key not in ignored}

    @property
    def usage_wanted(self) -> bool:
        """Whether a stream ends with the count of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage


def parsed(body: bytes) -> ChatRequest:
    """The request in a body of JSON. PromptInvalid names the field; Unsupported names what is not offered."""
    try:
        return ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(step) for step in first["loc"]) or "body"
        problem = "is not a field that this server knows" if first["type"] == "extra_forbidden" else first["msg"]
        raise PromptInvalid(field, f"{shown(problem)}.", "Mend it as OpenAI's chat completions describe it.") from error


def request_of(asked: ChatRequest, draw_seed: Callable[[], int]) -> Request:
    """What the engine is asked. `draw_seed` gives a seed, 0 to 2^63 - 1, where the client gave none.

    PromptInvalid: messages in no usable order, or a number out of its range. PictureUnreadable: no picture in a
    `data:` URL, named by its place."""
    words = [message for message in asked.messages if not isinstance(message, SystemMessage)]
    first = list(asked.messages[: len(asked.messages) - len(words)])
    if any(not isinstance(message, SystemMessage) for message in first):
        raise PromptInvalid("messages", "have a system message after the first question.", "Put it first.")
    system = "\n\n".join(text for message in first if (text := _text(message.content)))
    turns, pictures = _turns(words)
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
                if len(pictures) == MAX_PICTURES:
                    raise PromptInvalid("messages", f"hold more than {MAX_PICTURES} pictures.", "Send fewer.")
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
