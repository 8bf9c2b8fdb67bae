"""Completion request: the body of OpenAI's `/v1/chat/completions` as data, checked field by field.

- Tools, functions, audio, logprobs, penalties, several choices: refused by name when they ask for something; empty or
  neutral values pass, since clients send them. A field that nobody knows is refused too: it may mean something.
- `user`, `metadata` and the other fields of HARMLESS steer accounts, not answers: ignored.
- `top_k`, `repetition_penalty` and `task` (base, write, web) are additions of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from interleaf.errors import PromptInvalid, Unsupported, shown
from model.network.config import Task

__all__ = [
    "SEEDS",
    "AssistantMessage",
    "ChatRequest",
    "ImagePart",
    "Part",
    "PlainFormat",
    "SchemaFormat",
    "SystemMessage",
    "TextPart",
    "UserMessage",
    "parsed",
]

MAX_MESSAGES: Final = 1_024
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
