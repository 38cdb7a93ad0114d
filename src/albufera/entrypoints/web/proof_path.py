"""The audit path of a proof as a picture: from the entry up to the signed root."""

from dataclasses import dataclass

from markupsafe import Markup

from albufera.entrypoints.web.svg import WIDTH, frame, rect, text
from albufera.kernel.merkle import node_hash
from albufera.trace.proof import Proof

_ROW = 44
_TOP = 22
_MIDDLE = WIDTH / 2
_ASIDE = 78
_SHOWN = 8


@dataclass(frozen=True)
class Step:
    """One step up: the hash so far, its sibling, and on which side the sibling stands."""

    computed: bytes
    sibling: bytes
    sibling_is_left: bool


def steps_of(proof: Proof) -> tuple[list[Step], bytes]:
    """The steps from the leaf up, and the root they lead to (RFC 9162 §2.1.3.2)."""
    computed, place, last = proof.entry.leaf_hash(), proof.entry.index, proof.tree_size - 1
    steps = []
    for sibling in proof.inclusion_path:
        left = bool(place & 1 or place == last)
        steps.append(Step(computed, sibling, left))
        computed = node_hash(sibling, computed) if left else node_hash(computed, sibling)
        while left and place and not place & 1:
            place, last = place >> 1, last >> 1
        place, last = place >> 1, last >> 1
    return steps, computed


def picture(proof: Proof) -> Markup:
    """Draw the path: squares are siblings from the log, dots are computed from the entry up."""
    steps, root = steps_of(proof)
    bottom = _TOP + _ROW * len(steps)
    rows = [(step, bottom - _ROW * level) for level, step in enumerate(steps)]
    parts = [line for step, y in rows for line in _lines(step, y)]
    for step, y in rows:
        parts += _step(step, y, "entry " if y == bottom else "")
    word = "root " if steps else "entry and root "
    parts.append(_dot(_TOP, word + root.hex()[:_SHOWN], root, left=False))
    description = (
        f"Entry {proof.entry.index} is hashed with {len(steps)} siblings, one level at a time, up "
        f"to the root {root.hex()} of {proof.tree_size} entries."
    )
    height = bottom + 24
    return frame("Path from the entry to the root", description, "proof-path", height, parts)


def _step(step: Step, y: float, word: str) -> list[Markup]:
    side = -1 if step.sibling_is_left else 1
    x = _MIDDLE + side * _ASIDE
    anchor = "start" if side > 0 else "end"
    return [
        rect(x - 5, y - 5, 10, 10, "c4", title=step.sibling.hex()),
        text(x + side * 12, y + 4, step.sibling.hex()[:_SHOWN], "soft small", anchor=anchor),
        _dot(y, word + step.computed.hex()[:_SHOWN], step.computed, left=side > 0),
    ]


def _lines(step: Step, y: float) -> list[Markup]:
    x = _MIDDLE + (-_ASIDE if step.sibling_is_left else _ASIDE)
    line = Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="axis"/>')
    return [line.format(start, y, _MIDDLE, y - _ROW) for start in (_MIDDLE, x)]


def _dot(y: float, words: str, value: bytes, *, left: bool) -> Markup:
    x, anchor = (_MIDDLE - 12, "end") if left else (_MIDDLE + 12, "start")
    dot = Markup('<circle cx="{}" cy="{}" r="5" class="c1"><title>{}</title></circle>')
    return dot.format(_MIDDLE, y, value.hex()) + text(x, y + 4, words, "small", anchor=anchor)
