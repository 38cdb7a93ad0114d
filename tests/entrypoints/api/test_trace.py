"""`/api/v1/trace` and the tiles under `/trace`."""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from albufera.governance.model import Role
from albufera.kernel.actor import ANONYMOUS
from albufera.kernel.merkle import leaf_hash, root, verify_consistency
from albufera.kernel.signing import VerifyKey
from albufera.trace.model import Checkpoint
from albufera.trace.proof import verify
from albufera.trace.tiles import read_bundle
from tests.nodes import Town, town


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "home") as made:
        made.drain()
        yield made


def test_entries_with_names_sentences_and_pages(here: Town) -> None:
    with here.client(here.operator) as client:
        page = client.get("/api/v1/trace/entries", params={"limit": 3, "project": "LUNG"})
        assert page.status_code == 200
        assert 'rel="next"' in page.headers["link"]
        first = page.json()["items"][0]
        assert first["sentence"] == "A person was given a role in a project."
        assert (first["actor"], first["project"]) == ("admin", "LUNG")
        following = client.get(
            "/api/v1/trace/entries",
            params={"limit": 3, "project": "LUNG", "after": page.json()["nextAfter"]},
        )
        assert following.json()["items"][0]["index"] < page.json()["items"][-1]["index"]
        one = client.get(f"/api/v1/trace/entries/{first['index']}").json()
        assert one == first
        assert client.get(f"/api/v1/trace/events/{first['eventId']}").json() == first


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("user=admin", 200), ("user=nobody", 200), ("user=%00", 200), ("dataset=%00", 200),
        ("verb=%00", 200), ("about=x", 200), ("since=2026-01-01", 200),
        ("since=2026-01-01T00:00:00", 200), ("since=0001-01-01T00:00:00%2B14:00", 200),
        ("until=9999-12-31T23:59:59-14:00", 200), ("since=0999-01-01T00:00:00Z", 200),
        ("since=yesterday", 422), ("order=random", 422), ("after=x", 422), ("limit=0", 422),
        ("after=99999999999999999999999", 200), ("after=9223372036854775807", 200),
        ("project=NONE", 404), ("order=oldest-first", 200), ("verb=" + "x" * 300, 422),
    ],
)  # fmt: skip
def test_any_filter_is_answered(here: Town, query: str, status: int) -> None:
    with here.client(here.operator) as client:
        assert client.get(f"/api/v1/trace/entries?{query}").status_code == status


@pytest.mark.parametrize("index", ["-1", "x", "9007199254740992", "99999999999999999999", "1.5"])
def test_what_is_no_number_of_an_entry(here: Town, index: str) -> None:
    with here.client(here.operator) as client:
        for path in (f"entries/{index}", f"entries/{index}/proof"):
            assert client.get(f"/api/v1/trace/{path}").status_code == 422


def test_a_member_sees_what_they_did_and_no_other_tenants_entries(here: Town) -> None:
    researcher = here.people["LUNG", Role.RESEARCHER]
    with here.client(researcher) as client:
        assert client.get("/api/v1/trace/entries").json()["items"] == []
        assert client.get("/api/v1/trace/entries/0").status_code == 404
        assert client.get("/api/v1/trace/entries/0/proof").status_code == 404
        assert client.get("/api/v1/trace/entries?project=BREAST").status_code == 404
        assert client.get("/trace/entries/0").status_code == 404
        assert client.post("/api/v1/trace/verification", json={}).status_code == 403
    with here.client(here.people["LUNG", Role.AUDITOR]) as client:
        items = client.get("/api/v1/trace/entries?limit=500").json()["items"]
        assert items
        assert {item["project"] for item in items} == {"LUNG"}


def test_the_log_is_not_for_the_anonymous_but_its_head_is(here: Town) -> None:
    with here.client(ANONYMOUS) as client:
        for path in ("entries", "entries/0", "entries/0/proof", "events/x", "verification"):
            answer = client.get(f"/api/v1/trace/{path}")
            assert answer.status_code == 401, path
            assert "www-authenticate" in answer.headers
        head = client.get("/api/v1/trace/checkpoint").json()
        key = VerifyKey.parse(head["vkey"])
        checkpoint = Checkpoint.open(head["note"], [key])
        assert (checkpoint.size, checkpoint.root.hex()) == (head["size"], head["root"])
        note = client.get("/trace/checkpoint")
        assert note.text == head["note"]
        assert note.headers["content-type"].startswith("text/plain")


def test_a_stranger_checks_the_proof_by_the_standard_library_alone(here: Town) -> None:
    with here.client(here.operator) as client:
        head = client.get("/api/v1/trace/checkpoint").json()
        document = client.get("/api/v1/trace/entries/3/proof").json()
    assert verify(document, head["vkey"]).entry.index == 3
    # RFC 9162 §2.1.3.2 once more, by hand
    leaf = json.dumps(
        document["entry"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()
    computed = hashlib.sha256(b"\0" + leaf).digest()
    place, last = document["leafIndex"], document["treeSize"] - 1
    for text in document["inclusionPath"]:
        sibling = base64.b64decode(text)
        if place % 2 or place == last:
            computed = hashlib.sha256(b"\1" + sibling + computed).digest()
            while not place % 2 and place:
                place, last = place // 2, last // 2
        else:
            computed = hashlib.sha256(b"\1" + computed + sibling).digest()
        place, last = place // 2, last // 2
    assert computed.hex() == head["root"]


def test_two_checkpoints_of_one_history(here: Town) -> None:
    with here.client(ANONYMOUS) as client:
        before = client.get("/api/v1/trace/checkpoint").json()
        here.node.projects.create(here.operator, "COLON")
        here.drain()
        after = client.get("/api/v1/trace/checkpoint").json()
        sizes = {"first": before["size"], "second": after["size"]}
        answer = client.get("/api/v1/trace/consistency", params=sizes).json()
        path = [base64.b64decode(text) for text in answer["path"]]
        roots = [bytes.fromhex(head["root"]) for head in (before, after)]
        verify_consistency(before["size"], after["size"], path, *roots)
        for first, second in ((2, 1), (0, after["size"] + 1), (-1, 1), (0, 2**60)):
            params = {"first": first, "second": second}
            assert client.get("/api/v1/trace/consistency", params=params).status_code == 422


def test_tiles(here: Town) -> None:
    with here.client(here.operator) as client:
        size = client.get("/api/v1/trace/checkpoint").json()["size"]
        hashes = client.get(f"/trace/tile/0/000.p/{size}")
        bundle = client.get(f"/trace/tile/entries/000.p/{size}")
        head = client.get("/api/v1/trace/checkpoint").json()
    assert hashes.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "private" in bundle.headers["cache-control"]
    leaves = [leaf_hash(leaf) for leaf in read_bundle(bundle.content)]
    assert b"".join(leaves) == hashes.content
    assert root(leaves).hex() == head["root"]
    with here.client(ANONYMOUS) as client:
        assert client.get(f"/trace/tile/0/000.p/{size}").content == hashes.content
        assert client.get("/trace/tile/entries/000.p/1").status_code == 401
        for path in ("0/000", "0/001.p/1", "9/000", "0/0", "x", "", "0/000.p/0", "%00"):
            assert client.get(f"/trace/tile/{path}").status_code == 404, path
    with here.client(here.people["LUNG", Role.AUDITOR]) as client:
        assert client.get("/trace/tile/entries/000.p/1").status_code == 403


def test_a_verification_from_beginning_to_end(here: Town) -> None:
    with here.client(here.people["LUNG", Role.AUDITOR]) as client:
        assert client.get("/api/v1/trace/verification").status_code == 404
        kept = client.get("/trace/checkpoint").text
        answer = client.post("/api/v1/trace/verification", json={"checkpoint": kept})
        assert answer.status_code == 202
        asked = answer.json()
        assert (asked["state"], asked["report"]) == ("running", None)
        here.drain()
        path = f"/api/v1/trace/verification/{asked['verificationId']}"
        ended = client.get(path).json()
        assert ended["state"] == "verified"
        assert ended["report"]["totalFindings"] == 0
        assert ended["report"]["checkpoints"] >= 2
        assert client.post(f"{path}/cancel").status_code == 409
        assert client.get("/api/v1/trace/verification").json() == ended
        refused = client.post("/api/v1/trace/verification", json={"checkpoint": "x"})
        assert refused.status_code == 422
