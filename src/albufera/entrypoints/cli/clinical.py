"""`clinical`: the e-form of a project, clinical tables, records."""

from pathlib import Path
from typing import Any

import click

from albufera.clinical.forms import read_form
from albufera.clinical.model import MAX_FORM_BYTES
from albufera.entrypoints.cli.context import Commander, pass_commander

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
COUNTS = ("rows", "new", "updated", "unchanged", "rejected", "unknownSubjects")
SHOWN_PROBLEMS = 50


@click.group()
def clinical() -> None:
    """Clinical data: the e-form of a project and its tables."""


@clinical.command("form")
@click.argument("file", type=FILE)
@click.option("--project", required=True, metavar="CODE")
@pass_commander
def define_form(commander: Commander, file: Path, project: str) -> None:
    """Make the JSON Schema in FILE the project's e-form."""
    with file.open("rb") as stream:
        form = read_form(stream.read(MAX_FORM_BYTES + 1))
    made = commander.client.put(f"projects/{project}/clinical/form", form.schema)
    commander.output.document(made)
    commander.output.say(
        f"“{made['title']}”, version {made['version']}, with {len(made['variables'])} variables, "
        f"is the e-form of {project}."
    )


@clinical.command("load")
@click.argument("file", type=FILE)
@click.option("--project", required=True, metavar="CODE")
@click.option("--key", default="", metavar="COLUMN", help="The column of the subject.")
@click.option("--strict", is_flag=True, help="Exit with 1 when a row was rejected.")
@pass_commander
def load(commander: Commander, file: Path, project: str, key: str, strict: bool) -> None:
    """Load the CSV table in FILE, one row per subject (original identifier or pseudonym).

    Good rows are stored whatever is wrong with others; the report says what to correct, by the
    row (line of the file) and the column.
    """
    report = commander.client.send_files(
        f"projects/{project}/clinical/records", {"table": file}, {"key": key}
    )
    _show_report(commander, report)
    if strict and (report["rejected"] or not report["complete"]):
        commander.settle()
        click.get_current_context().exit(1)


@clinical.command("show")
@click.option("--project", required=True, metavar="CODE")
@click.option("--records", "with_records", is_flag=True, help="The records of all subjects.")
@pass_commander
def show(commander: Commander, project: str, with_records: bool) -> None:
    """Show the e-form with the completeness of its variables, or the records."""
    path = f"projects/{project}/clinical"
    if with_records:
        records = commander.client.items(f"{path}/records")
        commander.output.table(records, ("subjectName", "formVersion", "values", "updatedAt"))
        return
    form = commander.client.get(f"{path}/form")
    if "view" in form["allowedActions"]:
        complete = {item["variable"]: item for item in commander.client.get(f"{path}/completeness")}
    else:
        complete = {}
    if commander.output.as_json:
        commander.output.document({**form, "completeness": list(complete.values())})
        return
    commander.output.say(f"{form['title']}, version {form['version']}")
    rows = [_shown_variable(variable, complete) for variable in form["variables"]]
    commander.output.table(rows, ("variable", "title", "type", "unit", "required", "filled"))


def _shown_variable(variable: dict[str, Any], complete: dict[str, Any]) -> dict[str, Any]:
    found = complete.get(variable["name"])
    return {
        "variable": variable["name"],
        "title": variable["title"],
        "type": variable["type"],
        "unit": variable.get("unit", ""),
        "required": "yes" if variable["required"] else "",
        "filled": f"{found['filled']} of {found['records']}" if found else "",
    }


def _show_report(commander: Commander, report: dict[str, Any]) -> None:
    if commander.output.as_json:
        commander.output.document(report)
        return
    commander.output.record({name: report[name] for name in COUNTS})
    for kind in ("errors", "warnings"):
        listed = report[kind][:SHOWN_PROBLEMS]
        if not listed:
            continue
        total = report[f"{kind[:-1]}Count"]
        more = "" if total == len(listed) else f", the first {len(listed)}"
        commander.output.say(f"\n{total} {kind}{more}:")
        for item in listed:
            place = f"row {item['row']}" + (f", {item['column']}" if item["column"] else "")
            commander.output.say(f"  {place}: {item['message']}")


COMMANDS = (clinical,)
