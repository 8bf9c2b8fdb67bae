"""Foreign prompts: requests in the words of another family's chat template, as the tensors that its network takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from jinja2 import TemplateError
from PIL import Image

from interleaf.errors import OutOfMemory, PromptInvalid
from model.inference.engine import Request, Seen
from model.prompts.picture import upright_rgb
from model.prompts.prompt import PicturePlace
from model.prompts.video import VideoComposite

__all__ = ["ForeignPrompts"]

# Put into a person's words where they spell a control token, so that they stay words.
_BREAK: Final = "\u200b"
# What processors raise for pictures and texts that they cannot prepare: too narrow, or not one for each place.
_REFUSALS: Final = (ValueError, TypeError, LookupError, ArithmeticError)


class ForeignPrompts:
    """What a processor of transformers makes of requests for the model `name`; padded on the left."""

    def __init__(self, processor: Any, name: str) -> None:
        self._processor, self._name = processor, name
        self.tokenizer: Any = getattr(processor, "tokenizer", processor)
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self._controls = sorted(_controls(processor, self.tokenizer), key=lambda t: (-len(t), t))

    def inputs(self, requests: Sequence[Request]) -> Any:
        """The network's inputs for all requests, by name, on the CPU. PromptInvalid, PictureUnreadable, or
        OutOfMemory."""
        texts = [self.text(request) for request in requests]
        pictures = [[_pixels(p, f"picture {n}") for n, p in enumerate(r.pictures, 1)] for r in requests]
        try:
            return self._processor(
                text=texts,
                images=pictures if any(pictures) else None,
                padding=True,
                return_tensors="pt",
                add_special_tokens=self._adds_specials(texts),
            )
        except MemoryError as error:
            problem = "has too little memory to prepare this."
            raise OutOfMemory(self._name, problem, "Ask fewer at a time, or with fewer pictures.") from error
        except _REFUSALS as error:
            raise PromptInvalid(
                "prompt", f"cannot be prepared for {self._name} ({_reason(error)}).", "Give other pictures."
            ) from error

    def single_tokens(self, request: Request, options: Sequence[str], prompt: Sequence[int]) -> list[int] | None:
        """The one token that each option adds to the `prompt`, the request's ids; None where one adds several, or
        changes what stands before it.

        Only words are tokenized here: places of pictures, which come before, are control tokens, and what follows a
        control token does not depend on what is before it."""
        begun = [request.answer_start + option for option in options]
        texts = [self.text(request), *(self.text(request, answer_start) for answer_start in begun)]
        ids = self.tokenizer(texts, add_special_tokens=self._adds_specials(texts), padding=False)["input_ids"]
        plain, *whole = [list(row) for row in ids]
        same = plain[-1:] == list(prompt[-1:]) and all(row[:-1] == plain for row in whole)
        return [row[-1] for row in whole] if same else None

    def decode(self, ids: list[int]) -> str:
        """The text of an answer's tokens."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def text(self, request: Request, answer_start: str | None = None) -> str:
        """The conversation in the model's own template, with one mark for each picture. PromptInvalid where the
        template refuses it. `answer_start`: None for the request's own."""
        messages: list[dict[str, Any]] = []
        if request.system:
            messages.append({"role": "system", "content": self._content([request.system])})
        places = any(isinstance(part, PicturePlace) for turn in request.turns for part in turn.parts)
        for number, turn in enumerate(request.turns):
            first = number == 0 and len(request.pictures) == 1 and not places
            parts = (PicturePlace(), *turn.parts) if first else turn.parts
            messages.append({"role": turn.role, "content": self._content(parts)})
        try:
            text: str = self._processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except (TemplateError, *_REFUSALS) as error:
            raise PromptInvalid(
                "prompt", f"does not fit the template of {self._name} ({_reason(error)}).", "Leave the system text out."
            ) from error
        return text + self._words(request.answer_start if answer_start is None else answer_start)

    def _content(self, parts: Iterable[str | PicturePlace]) -> list[dict[str, str]]:
        """A message's parts as templates take them. Words that touch are joined first: a control token must not come
        together out of two."""
        joined: list[str | None] = []
        for part in parts:
            if isinstance(part, PicturePlace):
                joined.append(None)
            elif joined and joined[-1] is not None:
                joined[-1] += part
            else:
                joined.append(part)
        return [
            {"type": "image"} if words is None else {"type": "text", "text": self._words(words)}
            for words in joined or [""]
        ]

    def _words(self, words: str) -> str:
        """A person's words without control tokens."""
        for control in self._controls:
            if control in words:
                words = words.replace(control, control[0] + _BREAK + control[1:])
        return words

    def _adds_specials(self, texts: Sequence[str]) -> bool:
        """Whether the tokenizer adds what a text begins with; many templates have written that already."""
        bos = self.tokenizer.bos_token
        return not bos or not all(text.startswith(bos) for text in texts)


def _controls(processor: Any, tokenizer: Any) -> set[str]:
    """All that stands for more than its letters: tokens of its own, and marks that the processor looks for in texts
    (SmolVLM's `<video>` is no token). Runs of blanks, tokens in some vocabularies, are words."""
    named = {str(value) for key, value in vars(processor).items() if key.endswith("_token") and value is not None}
    named |= {str(token) for token in getattr(processor, "all_special_multimodal_tokens", ())}
    named |= {str(token) for token in tokenizer.added_tokens_decoder.values()}
    return {token for token in named if len(token) > 1 and token.strip()}


def _pixels(source: Seen, name: str) -> Image.Image:
    return source.image if isinstance(source, VideoComposite) else upright_rgb(source, name)


def _reason(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:300] or type(error).__name__
