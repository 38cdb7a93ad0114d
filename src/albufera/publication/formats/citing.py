"""How to cite a dataset: as a sentence, and in BibTeX."""

import re
import unicodedata

from albufera.publication.model import PublicDataset

MEDIA_TYPE = "application/x-bibtex"

_SPACE = re.compile(r"\s+")
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", '"': r"\textquotedbl{}",
}  # fmt: skip


def to_text(dataset: PublicDataset) -> str:
    """Return the citation in one line: creator (year). Title (version). Publisher. Address."""
    withdrawn = " [Withdrawn]" if dataset.is_tombstone else ""
    return _line(
        f"{dataset.creator} ({dataset.published_at.year}). {dataset.name} "
        f"(version {dataset.version}) [Data set].{withdrawn} {dataset.publisher.name}. "
        f"{dataset.resolver}"
    )


def to_bibtex(dataset: PublicDataset) -> str:
    """Return a BibTeX entry of the type `misc`, which every style knows."""
    fields = {
        "author": f"{{{_escape(dataset.creator)}}}",
        "title": f"{{{_escape(dataset.name)}}}",
        "year": str(dataset.published_at.year),
        "version": str(dataset.version),
        "publisher": _escape(dataset.publisher.name),
        "howpublished": "Data set",
        "url": dataset.resolver,
    }
    if dataset.is_tombstone:
        fields["note"] = "Withdrawn"
    body = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@misc{{{_key(dataset)},\n{body}}}\n"


def _key(dataset: PublicDataset) -> str:
    plain = unicodedata.normalize("NFKD", dataset.project).encode("ascii", "ignore").decode()
    word = re.sub(r"[^a-z0-9]", "", plain.lower()) or "dataset"
    return f"{word}{dataset.published_at.year}-{dataset.dataset_id[-6:]}"


def _escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in _line(text))


def _line(text: str) -> str:
    """Return a text on one line, without the characters that turn the direction of others."""
    plain = "".join(c for c in text if unicodedata.category(c) not in {"Cc", "Cf"} or c.isspace())
    return _SPACE.sub(" ", plain).strip()
