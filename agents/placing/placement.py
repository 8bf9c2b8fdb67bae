"""Placement: the extractive writer's eye. Spots places, asks for pictures, and decides for the whole piece
which pictures stand where.

1 measure   how much the words of each candidate and the text of each block say the same (similarity)
2 describe  each slot by what stands around it (evidence)
3 weigh     how probable each slot is for each picture (ranker), and whether it is of this piece (belonging)
4 assign    all at once, one picture a place, none twice (assignment)
5 tell      a score, a reason in words, and what else was considered
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from agents.context import Candidate, Choice, ChooseTask, Embedder, Place, RunnerUp, SpotTask
from agents.placing.anchoring import anchored_slot
from agents.placing.assignment import assign, compete, credit
from agents.placing.belonging import Belonging
from agents.placing.evidence import SlotView, evidence, habits, slot_view
from agents.placing.looks import likeness_of_looks
from agents.placing.prefilter import keep_promising
from agents.placing.ranker import Ranker, load_ranker
from agents.placing.reasoning import reason_for
from agents.placing.series import in_order, number_hints
from agents.words.function_words import function_words
from agents.words.similarity import Similarity, block_text, fused, measure, reads_language
from interleaf.schema import PictureQuery
from interleaf.text import count_words, fold_space

__all__ = ["caption_queries", "choose_pictures", "spot_places"]

Table = NDArray[np.float64]

# Below these a candidate stays out: a picture that a person handed over needs little, one that the
# library offers must show that it belongs.
LEAST_WORTH = {"given": 0.54, "document": 0.5, "library": 0.6}
LEAST_WORTH_WHEN_COUNTED = {"given": 0.0, "document": 0.0, "library": 0.1}
WORDS_PER_LIBRARY_PICTURE = 200
# More given pictures for each place than this are a collection.
COLLECTION_RATIO = 4
# A document's own place outweighs the ranker's.
ANCHOR_SHARE = 0.85
LIBRARY_WEIGHT = 2.0
ALTERNATIVES = 3
EPS = 1e-9


def spot_places(task: SpotTask, ranker: Ranker | None = None) -> tuple[Place, ...]:
    """Every slot where a picture may stand, in reading order, with how much authors and the text ask for one
    there. Empty when no picture is wanted or there is no text."""
    if task.pictures_wanted == 0 or not task.blocks:
        return ()
    view = slot_view(task.blocks)
    wish = habits(view) @ (ranker or load_ranker()).wordless_habits
    desire = np.exp(wish - wish.max())
    places = []
    for slot in range(len(task.blocks) + 1):
        if slot == len(task.blocks) and view.kind[-1] == "heading":
            continue
        cue = _cue_words(view, slot)
        places.append(Place(slot=slot, desire=round(float(desire[slot]), 4), cue=cue))
    return tuple(places)


def _cue_words(view: SlotView, slot: int) -> str:
    before, after = int(view.before[slot]), int(view.after[slot])
    if before >= 0 and (cue := view.cue[before]) is not None and cue.direction != "above":
        return cue.words
    if after >= 0 and (cue := view.cue[after]) is not None and cue.direction == "above":
        return cue.words
    return ""


def caption_queries(task: SpotTask, places: Sequence[Place]) -> tuple[PictureQuery, ...]:
    """For each place the words around it, as the library's search wants them; code says nothing of a picture."""
    blocks = task.blocks

    def words(indices: range, kinds: tuple[str, ...] = ()) -> str:
        for index in indices:
            block = blocks[index]
            if block.type in kinds if kinds else block.type != "code":
                return block_text(block)
        return ""

    return tuple(
        PictureQuery(
            before=words(range(place.slot - 1, -1, -1)),
            after=words(range(place.slot, len(blocks))),
            heading=fold_space(words(range(place.slot - 1, -1, -1), ("heading",)))[:4_000],
            title=task.title,
        )
        for place in places
    )


def choose_pictures(task: ChooseTask, embedder: Embedder, ranker: Ranker | None = None) -> tuple[Choice, ...]:
    """Which candidates stand where: at most one a place, none twice, none where nothing fits; by slot.

    `pictures_wanted` None places all that fit, and of the library's at most one per 200 words.
    The same task gives the same answer, whatever the order of its candidates.
    """
    candidates = _distinct(task)
    if not candidates or not task.places or not task.blocks or task.pictures_wanted == 0:
        return ()
    candidates = _as_library(candidates, len(task.places))
    candidates = keep_promising(task.title, [block_text(b) for b in task.blocks], candidates)
    pictures = [c.picture for c in candidates]
    has_words = np.array([bool(p.words.strip()) for p in pictures], dtype=np.bool_)
    ranker = ranker or load_ranker()
    similarity = measure(task.title, task.blocks, pictures, embedder)
    view = slot_view(task.blocks)
    is_open = np.zeros(len(task.blocks) + 1, dtype=np.bool_)
    is_open[sorted({p.slot for p in task.places if 0 <= p.slot <= len(task.blocks)})] = True

    posterior = ranker.posterior(evidence(fused(similarity, task.language), view), habits(view), has_words)
    anchors = [None if c.anchor is None else anchored_slot(c.anchor, task.blocks) for c in candidates]
    captions = [p.caption or p.alt for p in pictures]
    posterior = _with_hints(posterior * number_hints(captions, view), candidates, anchors) * is_open
    posterior /= posterior.sum(axis=1, keepdims=True) + EPS
    belonging = _belonging(task, candidates, similarity, has_words, ranker.belonging)
    belonging = np.maximum(belonging, [0.9 if a is not None else 0.0 for a in anchors])

    worth = _worth(task, candidates, belonging, posterior)
    taking_part = worth > 0
    values = np.zeros_like(posterior)
    values[taking_part] = credit(compete(posterior[taking_part]))
    pairs = assign(values, worth, is_open.tolist(), task.pictures_wanted)
    # Where a document shows a picture weighs more than its number.
    pairs = in_order(
        pairs, ["" if anchor is not None else text for anchor, text in zip(anchors, captions, strict=True)]
    )
    score = belonging[:, None] * posterior
    return tuple(
        Choice(
            slot=slot,
            picture_id=pictures[k].id,
            score=round(float(score[k, slot]), 4),
            reason=_reason(k, slot, anchors[k] == slot, bool(has_words[k]), view, similarity, task),
            alternatives=_runners_up(score[:, slot], k, pictures_ids=[p.id for p in pictures]),
        )
        for k, slot in pairs
    )


def _as_library(candidates: Sequence[Candidate], places: int) -> list[Candidate]:
    """Who hands over many times more pictures than there are places hands over a collection, not a choice:
    its pictures must then fit as those of the library must."""
    given = sum(c.origin == "given" for c in candidates)
    if given <= COLLECTION_RATIO * places:
        return list(candidates)
    return [replace(c, origin="library") if c.origin == "given" else c for c in candidates]


def _distinct(task: ChooseTask) -> list[Candidate]:
    """Candidates, none twice, in an order that depends on the seed and their ids alone."""
    by_id: dict[str, Candidate] = {}
    for candidate in task.candidates:
        known = by_id.get(candidate.picture.id)
        if known is None or (known.anchor is None and candidate.anchor is not None):
            by_id[candidate.picture.id] = candidate
    return [by_id[i] for i in sorted(by_id, key=lambda i: sha256(f"{task.seed}:{i}".encode()).digest())]


def _belonging(
    task: ChooseTask,
    candidates: Sequence[Candidate],
    similarity: Similarity,
    has_words: NDArray[np.bool_],
    reader: Belonging,
) -> Table:
    """(K,) how probable it is that each candidate is of this piece: what was handed over is read as one bag."""
    sense_counts = reads_language(task.language)
    found = np.zeros(len(candidates))
    offered = np.array([c.origin == "library" for c in candidates], dtype=np.bool_)
    if offered.any():
        found[offered] = reader.of_library(similarity.of_pictures(offered), has_words[offered], sense_counts)
    handed = ~offered
    if handed.any():
        inside = [c for c, is_in in zip(candidates, handed, strict=True) if is_in]
        looks = likeness_of_looks([c.look for c in inside], [(c.picture.width_px, c.picture.height_px) for c in inside])
        found[handed] = reader.of_bag(similarity.of_pictures(handed), has_words[handed], looks, sense_counts)
    return found


def _with_hints(posterior: Table, candidates: Sequence[Candidate], anchors: Sequence[int | None]) -> Table:
    """The ranker's rows, moved by what the library found for a slot and by where a document had the picture."""
    moved = posterior.copy()
    for k, candidate in enumerate(candidates):
        for slot, score in candidate.library_scores.items():
            if 0 <= slot < moved.shape[1]:
                moved[k, slot] *= np.exp(LIBRARY_WEIGHT * min(max(score, 0.0), 1.0))
        moved[k] /= moved[k].sum() + EPS
        if (slot_of_anchor := anchors[k]) is not None:
            moved[k] *= 1.0 - ANCHOR_SHARE
            moved[k, slot_of_anchor] += ANCHOR_SHARE
    return moved


def _worth(task: ChooseTask, candidates: Sequence[Candidate], belonging: Table, posterior: Table) -> Table:
    """(K,) above zero for candidates that may be placed; the higher, the sooner."""
    least = LEAST_WORTH if task.pictures_wanted is None else LEAST_WORTH_WHEN_COUNTED
    bar = np.array([least[c.origin] for c in candidates])
    worth = np.where(belonging >= bar, belonging * (0.5 + 0.5 * posterior.max(axis=1)), 0.0)
    if task.pictures_wanted is None:
        words = sum(count_words(block_text(b)) for b in task.blocks)
        room = max(1, round(words / WORDS_PER_LIBRARY_PICTURE))
        found = [k for k, c in enumerate(candidates) if c.origin == "library" and worth[k] > 0]
        room = max(0, room - sum(c.origin != "library" and worth[k] > 0 for k, c in enumerate(candidates)))
        for k in sorted(found, key=lambda k: (-worth[k], k))[room:]:
            worth[k] = 0.0
    return np.asarray(worth, dtype=np.float64)


def _reason(
    k: int,
    slot: int,
    anchored: bool,
    has_words: bool,
    view: SlotView,
    similarity: Similarity,
    task: ChooseTask,
) -> str:
    small = function_words(task.language)
    before, after, heading = int(view.before[slot]), int(view.after[slot]), int(view.heading[slot])
    cue = view.cue[before] if before >= 0 else None
    if cue is None or cue.direction == "above":
        cue = view.cue[after] if after >= 0 else None
        cue = cue if cue is not None and cue.direction == "above" else None
    return reason_for(
        shared_before=similarity.shared_terms(k, before, small) if before >= 0 else (),
        shared_after=similarity.shared_terms(k, after, small) if after >= 0 else (),
        cue=cue,
        anchored=anchored,
        heading=block_text(task.blocks[heading]) if heading >= 0 else "",
        likeness=float(similarity.sense[k, before]) if before >= 0 else 0.0,
        has_words=has_words,
    )


def _runners_up(scores: Table, chosen: int, pictures_ids: Sequence[str]) -> tuple[RunnerUp, ...]:
    order = [k for k in np.argsort(-scores, kind="stable").tolist() if k != chosen][:ALTERNATIVES]
    return tuple(RunnerUp(pictures_ids[k], round(float(scores[k]), 4)) for k in order)
