"""The encoding of tiles, bundles and their addresses (C2SP tlog-tiles)."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albufera.kernel import merkle
from albufera.trace.tiles import (
    TileRequest,
    bundle,
    hash_at,
    number_path,
    parse_path,
    read_bundle,
    tiles_at,
)


@pytest.mark.parametrize(
    ("path", "request_"),
    [
        ("0/000", TileRequest(0, 0, 256)),
        ("0/x001/x234/067", TileRequest(0, 1234067, 256)),
        ("1/000.p/1", TileRequest(1, 0, 1)),
        ("5/999.p/255", TileRequest(5, 999, 255)),
        ("entries/x001/000", TileRequest(None, 1000, 256)),
        ("entries/000.p/17", TileRequest(None, 0, 17)),
    ],
)
def test_addresses(path: str, request_: TileRequest) -> None:
    assert parse_path(path) == request_


@pytest.mark.parametrize(
    "path",
    ["", "0", "0/0", "0/00", "0/0000", "6/000", "00/000", "0/x000/001", "0/001/002", "0/x001",
     "0/000.p/0", "0/000.p/01", "0/000.p/256", "0/000.p/", "0/000/", "-1/000", "0/٠٠٠",
     "entries/", "checkpoint", "0/x1/000", "0/000.p/1\n", "../0/000",
     "0/" + "x999/" * 6 + "999"],
)  # fmt: skip
def test_what_is_no_address(path: str) -> None:
    assert parse_path(path) is None


@given(st.integers(0, 10**18 - 1))
def test_a_number_is_read_as_it_was_written(number: int) -> None:
    assert parse_path("0/" + number_path(number)) == TileRequest(0, number, 256)


def test_a_bundle_by_hand() -> None:
    assert bundle([b"a", b"", b"b" * 258]) == b"\0\1a" + b"\0\0" + b"\1\2" + b"b" * 258


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_bundle_is_read_as_it_was_written(leaves: list[bytes]) -> None:
    assert read_bundle(bundle(leaves)) == leaves


def test_a_bundle_cut_short_is_refused() -> None:
    with pytest.raises(ValueError, match="cut short"):
        read_bundle(bundle([b"abc"])[:-1])


def leaves(count: int) -> list[bytes]:
    return [hashlib.sha256(str(number).encode()).digest() for number in range(count)]


def stored(hashes: list[bytes]) -> dict[tuple[int, int], bytes]:
    tiles: dict[tuple[int, int], bytes] = {}
    frontier = merkle.Frontier()
    for leaf in hashes:
        for level, position, node in frontier.append(leaf):
            if level % 8 == 0:
                address = (level // 8, position // 256)
                tiles[address] = tiles.get(address, b"") + node
    return tiles


LEAVES = leaves(700)
TILES = stored(LEAVES)


@given(st.data())
def test_proofs_come_out_of_tiles(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(LEAVES)))
    index = data.draw(st.integers(0, size - 1))
    path = merkle.inclusion_proof(size, index, lambda level, at: hash_at(TILES, level, at))
    root = merkle.root(LEAVES[:size])
    merkle.verify_inclusion(LEAVES[index], index, size, path, root)


def test_a_tile_that_lacks_hashes_gives_none() -> None:
    with pytest.raises(merkle.ProofError):
        hash_at({(0, 0): b"x" * 32 * 3}, 2, 0)
    with pytest.raises(merkle.ProofError):
        hash_at({}, 0, 0)


@pytest.mark.parametrize(
    ("size", "count"), [(0, 0), (1, 1), (255, 1), (256, 2), (257, 3), (65536, 256 + 1 + 1)]
)
def test_how_many_tiles_a_tree_has(size: int, count: int) -> None:
    assert tiles_at(size) == count
    if size < len(LEAVES):
        assert len(stored(LEAVES[:size])) == count
