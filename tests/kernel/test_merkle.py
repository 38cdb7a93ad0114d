"""RFC 6962 hashing and proofs: published vectors, a naive definition, and forgeries."""

import hashlib
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albufera.kernel import merkle
from albufera.kernel.merkle import EMPTY_ROOT, Frontier, ProofError, leaf_hash, node_hash, nodes_of

# The reference inputs and roots of the Certificate Transparency test suites.
REFERENCE_INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
REFERENCE_ROOTS = [
    bytes.fromhex(text)
    for text in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
REFERENCE_LEAVES = [leaf_hash(data) for data in REFERENCE_INPUTS]
REFERENCE_INCLUSION = {
    (8, 0): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (8, 5): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (3, 2): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}
REFERENCE_CONSISTENCY = {
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


# --- the definitions of RFC 6962 §2.1, word for word and independent of the module -------------


def naive_root(hashes: list[bytes]) -> bytes:
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = naive_split(len(hashes))
    left, right = naive_root(hashes[:k]), naive_root(hashes[k:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def naive_split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def naive_path(m: int, hashes: list[bytes]) -> list[bytes]:
    if len(hashes) == 1:
        return []
    k = naive_split(len(hashes))
    if m < k:
        return [*naive_path(m, hashes[:k]), naive_root(hashes[k:])]
    return [*naive_path(m - k, hashes[k:]), naive_root(hashes[:k])]


def naive_subproof(m: int, hashes: list[bytes], known: bool) -> list[bytes]:
    if m == len(hashes):
        return [] if known else [naive_root(hashes)]
    k = naive_split(len(hashes))
    if m <= k:
        return [*naive_subproof(m, hashes[:k], known), naive_root(hashes[k:])]
    return [*naive_subproof(m - k, hashes[k:], False), naive_root(hashes[:k])]


# --- vectors -----------------------------------------------------------------------------------


def test_leaf_and_node_are_hashed_under_their_prefixes() -> None:
    assert leaf_hash(b"x") == hashlib.sha256(b"\x00x").digest()
    assert (
        node_hash(b"l" * 32, b"r" * 32) == hashlib.sha256(b"\x01" + b"l" * 32 + b"r" * 32).digest()
    )


@pytest.mark.parametrize("size", range(9))
def test_reference_roots(size: int) -> None:
    assert merkle.root(REFERENCE_LEAVES[:size]) == REFERENCE_ROOTS[size]
    assert merkle.root_at(size, nodes_of(REFERENCE_LEAVES)) == REFERENCE_ROOTS[size]


@pytest.mark.parametrize(("size", "index"), REFERENCE_INCLUSION)
def test_reference_inclusion_proofs(size: int, index: int) -> None:
    path = merkle.inclusion_proof(size, index, nodes_of(REFERENCE_LEAVES))
    assert [sibling.hex() for sibling in path] == REFERENCE_INCLUSION[size, index]


@pytest.mark.parametrize(("first", "second"), REFERENCE_CONSISTENCY)
def test_reference_consistency_proofs(first: int, second: int) -> None:
    path = merkle.consistency_proof(first, second, nodes_of(REFERENCE_LEAVES))
    assert [sibling.hex() for sibling in path] == REFERENCE_CONSISTENCY[first, second]


# --- against the naive definition --------------------------------------------------------------


def test_every_proof_of_small_trees_is_the_defined_one_and_verifies() -> None:
    for size in range(1, 34):
        tree = leaves(size)
        node_at, root = nodes_of(tree), naive_root(tree)
        assert merkle.root(tree) == root
        for index in range(size):
            path = merkle.inclusion_proof(size, index, node_at)
            assert path == naive_path(index, tree)
            merkle.verify_inclusion(tree[index], index, size, path, root)
        for first in range(1, size + 1):
            path = merkle.consistency_proof(first, size, node_at)
            assert path == naive_subproof(first, tree, True)
            merkle.verify_consistency(first, size, path, naive_root(tree[:first]), root)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=200), st.data())
def test_a_frontier_goes_on_where_it_was_left(tree: list[bytes], data: st.DataObject) -> None:
    frontier, stop = Frontier(), data.draw(st.integers(0, len(tree)))
    for leaf in tree[:stop]:
        frontier.append(leaf)
    frontier = Frontier.from_bytes(frontier.to_bytes())
    assert (frontier.size, frontier.root()) == (stop, naive_root(tree[:stop]))
    for leaf in tree[stop:]:
        frontier.append(leaf)
    assert frontier.root() == naive_root(tree)
    assert len(frontier.hashes) == len(tree).bit_count()


@given(st.integers(1, 300), st.data())
def test_proofs_are_built_from_the_nodes_that_appending_hands_over(
    size: int, data: st.DataObject
) -> None:
    tree, stored, frontier = leaves(size), {}, Frontier()
    for leaf in tree:
        for node in frontier.append(leaf):
            stored[node.level, node.position] = node.hash
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))

    wanted = {tuple(c): stored[c] for c in merkle.inclusion_nodes(size, index)}
    path = merkle.inclusion_proof(size, index, lambda level, at: wanted[level, at])
    assert path == naive_path(index, tree)

    wanted = {tuple(c): stored[c] for c in merkle.consistency_nodes(first, size)}
    path = merkle.consistency_proof(first, size, lambda level, at: wanted[level, at])
    assert path == naive_subproof(first, tree, True)

    wanted = {tuple(c): stored[c] for c in merkle.root_nodes(first)}
    assert merkle.root_at(first, lambda level, at: wanted[level, at]) == naive_root(tree[:first])


def test_a_root_over_a_stream_needs_no_memory_to_speak_of() -> None:
    tracemalloc.start()
    try:
        merkle.root(leaf_hash(number.to_bytes(4)) for number in range(50_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024  # the leaves alone are 1.6 MB


# --- forgeries ---------------------------------------------------------------------------------


def mutations(path: list[bytes]) -> list[list[bytes]]:
    """Every proof with a bit flipped, a hash dropped, doubled, swapped or added."""
    forged = [[*path, bytes(32)], [bytes(32), *path]]
    for at, sibling in enumerate(path):
        flipped = bytes([sibling[0] ^ 1]) + sibling[1:]
        forged.append([*path[:at], flipped, *path[at + 1 :]])
        forged.append([*path[:at], *path[at + 1 :]])
        forged.append([*path[:at], sibling, *path[at:]])
        forged.append([*path[:at], sibling[:31], *path[at + 1 :]])
        if at:
            swapped = path.copy()
            swapped[at - 1], swapped[at] = sibling, path[at - 1]
            forged.append(swapped)
    return forged


@given(st.integers(1, 130), st.data())
def test_no_mutated_inclusion_proof_verifies(size: int, data: st.DataObject) -> None:
    tree, index = leaves(size), data.draw(st.integers(0, size - 1))
    path, root = merkle.inclusion_proof(size, index, nodes_of(tree)), merkle.root(tree)
    for forged in mutations(path):
        with pytest.raises(ProofError):
            merkle.verify_inclusion(tree[index], index, size, forged, root)
    for other in {*range(size)} - {index} | {-1, size, size + 1}:
        with pytest.raises(ProofError):
            merkle.verify_inclusion(tree[index], other, size, path, root)
    with pytest.raises(ProofError):
        merkle.verify_inclusion(leaf_hash(b"another"), index, size, path, root)
    with pytest.raises(ProofError):
        merkle.verify_inclusion(tree[index], index, size, path, leaf_hash(b"another"))


def test_an_interior_node_does_not_pass_for_a_leaf() -> None:
    tree = leaves(4)
    left, right = node_hash(tree[0], tree[1]), node_hash(tree[2], tree[3])
    data = tree[0] + tree[1]
    with pytest.raises(ProofError):
        merkle.verify_inclusion(leaf_hash(data), 0, 2, [right], node_hash(left, right))


def test_a_proof_longer_than_the_tree_is_high_fails_even_if_its_hashes_join() -> None:
    one, other = leaves(2)
    with pytest.raises(ProofError, match="longer"):
        merkle.verify_inclusion(one, 0, 1, [other], node_hash(other, one))
    with pytest.raises(ProofError, match="shorter"):
        merkle.verify_inclusion(one, 0, 3, [other], node_hash(one, other))


def test_a_root_does_not_pass_for_that_of_a_larger_tree() -> None:
    one, other = leaves(2)
    merkle.verify_consistency(1, 2, [other], one, node_hash(one, other))
    with pytest.raises(ProofError):
        merkle.verify_consistency(1, 3, [other], one, node_hash(one, other))


@given(st.integers(2, 130), st.data())
def test_no_mutated_consistency_proof_verifies(size: int, data: st.DataObject) -> None:
    tree, first = leaves(size), data.draw(st.integers(1, size - 1))
    path = merkle.consistency_proof(first, size, nodes_of(tree))
    old, new = merkle.root(tree[:first]), merkle.root(tree)
    for forged in mutations(path):
        with pytest.raises(ProofError):
            merkle.verify_consistency(first, size, forged, old, new)
    for roots in ((new, old), (old, old), (new, new), (bytes(32), new), (old, bytes(32))):
        with pytest.raises(ProofError):
            merkle.verify_consistency(first, size, path, *roots)
    with pytest.raises(ProofError):
        merkle.verify_consistency(size, first, path, new, old)
    with pytest.raises(ProofError):
        merkle.verify_consistency(first, size, [], old, new)


@given(st.integers(2, 130), st.data())
def test_a_log_with_an_edited_past_is_not_consistent(size: int, data: st.DataObject) -> None:
    tree, first = leaves(size), data.draw(st.integers(1, size - 1))
    edited = tree.copy()
    edited[data.draw(st.integers(0, first - 1))] = leaf_hash(b"edited")
    path = merkle.consistency_proof(first, size, nodes_of(edited))
    with pytest.raises(ProofError):
        merkle.verify_consistency(first, size, path, merkle.root(tree[:first]), merkle.root(edited))


def test_sizes_between_which_there_is_nothing_to_prove() -> None:
    root = merkle.root(leaves(3))
    assert merkle.consistency_proof(3, 3, nodes_of(leaves(3))) == []
    assert merkle.consistency_proof(0, 3, nodes_of(leaves(3))) == []
    merkle.verify_consistency(3, 3, [], root, root)
    merkle.verify_consistency(0, 3, [], EMPTY_ROOT, root)
    for first, second, path, old, new in [
        (3, 3, [root], root, root),
        (3, 3, [], root, bytes(32)),
        (0, 3, [], root, root),
        (0, 0, [], EMPTY_ROOT, root),
        (0, 3, [root], EMPTY_ROOT, root),
    ]:
        with pytest.raises(ProofError):
            merkle.verify_consistency(first, second, path, old, new)


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"", b"1234567", bytes(8) + bytes(32), bytes(7) + b"\x01", b"\xff" * 8 + bytes(2048)],
)
def test_a_damaged_frontier_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"frontier|leaves"):
        Frontier.from_bytes(data)


def test_what_is_no_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Frontier().append(b"short")


def test_proofs_of_what_is_not_in_the_tree_are_refused() -> None:
    node_at = nodes_of(leaves(3))
    for index in (-1, 3):
        with pytest.raises(ProofError):
            merkle.inclusion_proof(3, index, node_at)
    for first, second in ((4, 3), (-1, 3)):
        with pytest.raises(ProofError):
            merkle.consistency_proof(first, second, node_at)
    with pytest.raises(ProofError, match="not complete"):
        merkle.inclusion_proof(8, 0, node_at)
