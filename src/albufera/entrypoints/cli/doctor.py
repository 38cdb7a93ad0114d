"""`doctor`: checks of the installation, each with its remedy."""

from dataclasses import asdict

import click

from albufera.bootstrap.examination import examine
from albufera.entrypoints.cli.context import Commander, pass_commander


@click.command()
@pass_commander
def doctor(commander: Commander) -> None:
    """Check this installation and its home; exit 1 if something needs mending."""
    found = []
    for check in examine(commander.settings):
        found.append(check)
        mark = "ok     " if check.ok else "PROBLEM"
        commander.output.say(f"{mark}  {check.name:<9} {check.found}")
        if not check.ok:
            commander.output.say(f"         remedy:   {check.remedy}")
    well = all(check.ok for check in found)
    commander.output.document({"ok": well, "checks": [asdict(check) for check in found]})
    if not well:
        click.get_current_context().exit(1)


COMMANDS = (doctor,)
