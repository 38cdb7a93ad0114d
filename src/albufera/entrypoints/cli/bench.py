"""`bench`: the project's benchmarks, which live beside the source in `bench/`."""

import subprocess
import sys
from pathlib import Path

import click

import albufera
from albufera.entrypoints.cli.context import Commander, pass_commander
from albufera.kernel.errors import define

FOLDER = Path(albufera.__file__).parents[2] / "bench"

NO_BENCHMARK = define(
    "no-such-benchmark",
    404,
    "There is no such benchmark.",
    "The message lists those there are; they come with the source, not with the installed package.",
)


@click.command()
@click.argument("name")
@pass_commander
def bench(commander: Commander, name: str) -> None:
    """Run the benchmark NAME (or `all`): each prints ratios against a peer or a limit."""
    present = sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))
    chosen = present if name == "all" else [name]
    if not present or not set(chosen) <= set(present):
        raise NO_BENCHMARK(f"The benchmarks here: {', '.join(present) or 'none'}.")
    outputs = {}
    for item in chosen:
        commander.output.say(f"# {item}")
        program = [sys.executable, str(FOLDER / f"{item}.py")]
        if commander.output.as_json:
            done = subprocess.run(program, check=True, capture_output=True, text=True)
            outputs[item] = done.stdout
        else:
            subprocess.run(program, check=True)
    commander.output.document(outputs)


COMMANDS = (bench,)
