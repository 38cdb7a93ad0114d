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
    parts = [_dot(_TOP, "root " + root.hex()[:_SHOWN], root, left=False)] if steps else []
    for level, step in enumerate(steps):
        y = bottom - _ROW * level
        parts += _step(step, y, "entry " if level == 0 else "")
    if not steps:
        parts.append(_dot(_TOP, "entry and root " + root.hex()[:_SHOWN], root, left=False))
    description = (
        f"Entry {proof.entry.index} is hashed with {len(steps)} siblings, one level at a time, up "
        f"to the root {root.hex()} of {proof.tree_size} entries."
    )
    height = bottom + 24
    return frame("Path from the entry to the root", description, "proof-path", height, parts)


def _step(step: Step, y: float, word: str) -> list[Markup]:
    side = -1 if step.sibling_is_left else 1
    x = _MIDDLE + side * _ASIDE
    words = step.sibling.hex()[:_SHOWN]
    beyond = x + side * 12
    return [
        _line(_MIDDLE, y, _MIDDLE, y - _ROW),
        _line(x, y, _MIDDLE, y - _ROW),
        rect(x - 5, y - 5, 10, 10, "c4", title=step.sibling.hex()),
        text(beyond, y + 4, words, "soft small", anchor="end" if side < 0 else "start"),
        _dot(y, word + step.computed.hex()[:_SHOWN], step.computed, left=side > 0),
    ]


def _dot(y: float, words: str, value: bytes, *, left: bool) -> Markup:
    x, anchor = (_MIDDLE - 12, "end") if left else (_MIDDLE + 12, "start")
    dot = Markup('<circle cx="{}" cy="{}" r="5" class="c1"><title>{}</title></circle>')
    return dot.format(_MIDDLE, y, value.hex()) + text(x, y + 4, words, "small", anchor=anchor)


def _line(x1: float, y1: float, x2: float, y2: float) -> Markup:
    line = Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="axis"/>')
    return line.format(x1, y1, x2, y2)
