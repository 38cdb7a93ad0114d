"""The command `albufera`."""

import json
import sys
from pathlib import Path

import click
from pydantic import ValidationError

from albufera import __version__
from albufera.entrypoints.cli import (
    access,
    bench,
    clinical,
    datasets,
    demo,
    doctor,
    egress,
    federation,
    identity,
    ingests,
    jobs,
    projects,
    studies,
    trace,
    verify,
)
from albufera.entrypoints.cli import home as home_commands
from albufera.entrypoints.cli.context import Commander
from albufera.kernel.errors import Refusal


class Albufera(click.Group):
    """Turns refusals into exit code 1 with the code and the remedy on stderr."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; let its follow-up work and its log entries be done before leaving."""
        try:
            return super().invoke(ctx)
        except Refusal as refusal:
            _complain(ctx, refusal)
        except ValidationError as failure:
            first = failure.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            click.echo(f"error: invalid-settings: {place}: {first['msg']}", err=True)
        finally:
            if isinstance(ctx.obj, Commander):
                ctx.obj.leave()
        ctx.exit(1)


def _complain(ctx: click.Context, refusal: Refusal) -> None:
    shown = {"code": refusal.code, "detail": refusal.detail, "remedy": refusal.error.remedy}
    commander = ctx.obj
    if isinstance(commander, Commander) and commander.output.as_json:
        click.echo(json.dumps({"error": {**shown, **refusal.facts}}, default=str), err=True)
        return
    click.echo(f"error: {refusal.code}: {refusal.detail}", err=True)
    for item in refusal.facts.get("errors") or []:  # type: ignore[attr-defined]
        click.echo(f"  {item}", err=True)
    click.echo(f"remedy: {refusal.error.remedy}", err=True)


@click.group(cls=Albufera, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="albufera")
@click.option("--home", type=click.Path(path_type=Path), help="The node's home directory.")
@click.option("--as", "as_user", metavar="USER", help="Act as this user (on a local home).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
@click.pass_context
def main(ctx: click.Context, home: Path | None, as_user: str | None, as_json: bool) -> None:
    """Albufera: the open-source platform for cancer imaging repositories."""
    ctx.obj = Commander(home, as_user, as_json=as_json)


for command in (
    *home_commands.COMMANDS,
    *demo.COMMANDS,
    *bench.COMMANDS,
    *identity.COMMANDS,
    *projects.COMMANDS,
    *ingests.COMMANDS,
    *studies.COMMANDS,
    *access.COMMANDS,
    *clinical.COMMANDS,
    *datasets.COMMANDS,
    *verify.COMMANDS,
    *trace.COMMANDS,
    *jobs.COMMANDS,
    *egress.COMMANDS,
    *federation.COMMANDS,
    *doctor.COMMANDS,
):
    main.add_command(command)


if __name__ == "__main__":
    sys.exit(main())
