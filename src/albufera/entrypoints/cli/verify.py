"""`verify` and `dataset cite`: citation bundles, checked without a node."""

import json
import sys
from pathlib import Path
from typing import Any

import click
import httpx

from albufera.bootstrap.log_proofs import check_log_proof
from albufera.catalogue.folder_check import Findings, verify_folder
from albufera.catalogue.manifest import ManifestError
from albufera.entrypoints.cli.context import Commander, pass_commander
from albufera.entrypoints.cli.datasets import dataset, dataset_id_of
from albufera.kernel.errors import UNAVAILABLE
from albufera.publication.citation import MAX_BUNDLE_BYTES, Verdict, read_bundle, verify_bundle
from albufera.publication.model import CITATION_INVALID, CitationError

MANIFEST = "manifest.json"


@click.command()
@click.argument("source", metavar="CITATION_OR_BUNDLE")
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--key", metavar="VKEY", help="The node's public key, had from elsewhere.")
@click.option("--log-key", metavar="VKEY", help="The log's public key, had from elsewhere.")
@pass_commander
def verify(
    commander: Commander, source: str, folder: Path | None, key: str | None, log_key: str | None
) -> None:
    """Check a citation bundle, and with FOLDER the files themselves.

    CITATION_OR_BUNDLE is a bundle's file (- for standard input), or the address in a citation, from
    which the bundle is then fetched. A file is checked offline: no node and no home are needed.
    FOLDER holds the dataset's files and its manifest.json.
    """
    content = _fetch(source) if source.startswith(("http://", "https://")) else _read(source)
    try:
        verdict = verify_bundle(read_bundle(content), check_log_proof, key, log_key)
    except CitationError as problem:
        raise CITATION_INVALID(str(problem)) from None
    checked = None if folder is None else _check_folder(verdict, folder)
    _tell(commander, verdict, checked, folder)


@dataset.command("cite")
@click.argument("dataset_id", metavar="DATASET")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it here.")
@pass_commander
def cite(commander: Commander, dataset_id: str, output: Path | None) -> None:
    """Print the citation of a published dataset, or write its citation bundle to a file."""
    found = dataset_id_of(commander, dataset_id)
    bundle = commander.client.get(f"datasets/{found}/citation")
    if output is None:
        commander.output.document(bundle)
        commander.output.say(bundle["citation"])
        return
    output.write_text(json.dumps(bundle, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    commander.output.document({"path": str(output), "identifier": bundle["dataset"]["identifier"]})
    commander.output.say(f"Written to {output}. Check it anywhere with: albufera verify {output}")


def _read(source: str) -> bytes:
    """Read a file or standard input, no further than a bundle may be long."""
    if source == "-":
        return sys.stdin.buffer.read(MAX_BUNDLE_BYTES + 1)
    try:
        with Path(source).open("rb") as file:
            return file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as failure:
        raise click.BadParameter(
            f"{source} cannot be read: {failure.strerror}. Give a bundle's file, or the address in "
            "a citation (http…).",
            param_hint="CITATION_OR_BUNDLE",
        ) from None


def _fetch(address: str) -> bytes:
    """Fetch the bundle behind the address of an identifier, a landing page or a bundle."""
    try:
        with httpx.Client(follow_redirects=True, timeout=30.0) as client:
            url = httpx.URL(address)
            if not url.path.endswith("/citation.json"):
                with client.stream("GET", url) as landing:  # of a tombstone too: 410
                    url = landing.url.copy_with(query=None, fragment=None)
                url = url.copy_with(path=url.path.rstrip("/") + "/citation.json")
            with client.stream("GET", url) as response:
                response.raise_for_status()
                return _bounded(response)
    except (httpx.HTTPError, httpx.InvalidURL) as failure:
        raise UNAVAILABLE(f"{address} gives no citation bundle: {failure}.") from None


def _bounded(response: httpx.Response) -> bytes:
    content = b""
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > MAX_BUNDLE_BYTES:
            break
    return content


def _check_folder(verdict: Verdict, folder: Path) -> dict[str, Any]:
    """Compare a folder with its manifest, and the manifest with the bundle."""
    try:
        with (folder / MANIFEST).open("rb") as manifest:
            summary, root, findings = verify_folder(manifest, folder)
    except OSError as failure:
        raise CITATION_INVALID(
            f"{folder / MANIFEST} cannot be read: {failure.strerror}. The folder must hold the "
            "dataset's manifest.json."
        ) from None
    except ManifestError as problem:
        raise CITATION_INVALID(f"The folder's manifest is not sound. {problem}") from None
    same = (summary.dataset_id, summary.version, summary.root, summary.sha256)
    if same != (verdict.dataset_id, verdict.version, verdict.root, verdict.manifest_sha256):
        raise CITATION_INVALID(
            f"The folder's manifest is of {summary.dataset_id} version {summary.version} with the "
            f"root {summary.root}; the citation is of {verdict.dataset_id} version "
            f"{verdict.version} with the root {verdict.root}."
        )
    if not findings.clean or root != verdict.root:
        raise CITATION_INVALID(_differences(findings), errors=_lines(findings))
    return {"files": summary.files, "bytes": summary.byte_count, "root": root}


def _differences(findings: Findings) -> str:
    return (
        f"The folder is not what was cited: {findings.corrupt} files changed, {findings.missing} "
        f"missing, {findings.extra} too many."
    )


def _lines(findings: Findings) -> list[str]:
    return [f"{p['kind']}: {p['path']}: {p['detail']}" for p in findings.problems]


def _tell(
    commander: Commander, verdict: Verdict, checked: dict[str, Any] | None, folder: Path | None
) -> None:
    proven, unproven = list(verdict.proven), list(verdict.unproven)
    if checked is None:
        unproven.append("The files: give the folder that holds them and manifest.json.")
    else:
        proven.append(
            f"Every one of the {checked['files']} files in {folder} ({checked['bytes']} bytes) is "
            "the one that was released; none is missing, none too many."
        )
    commander.output.document(
        {
            "valid": True,
            "trusted": verdict.trusted,
            "identifier": verdict.identifier,
            "datasetId": verdict.dataset_id,
            "version": verdict.version,
            "name": verdict.name,
            "root": verdict.root,
            "key": verdict.key.vkey,
            "fingerprint": verdict.key.fingerprint,
            "folder": checked,
            "proven": proven,
            "unproven": unproven,
        }
    )
    for line in (
        verdict.citation,
        "Proven:",
        *(f"  ✓ {sentence}" for sentence in proven),
        "Not proven:",
        *(f"  – {sentence}" for sentence in unproven),
    ):
        commander.output.say(_plain(line))


def _plain(text: str) -> str:
    """Return a text without what would steer a terminal: a bundle may come from anybody."""
    return "".join(character if character.isprintable() else "�" for character in text)


COMMANDS = (verify,)
