"""The contract of the Registrar port, over every backend."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from albufera.kernel.database import Database
from albufera.publication.backends.local import LocalRegistrar, short_name
from albufera.publication.model import MAX_IDENTIFIER, IdentifierState, is_identifier
from albufera.publication.ports import IdentifierGone, Registrar, UnknownIdentifier

FIRST, SECOND = "ds-" + "1" * 26, "ds-" + "2" * 26
URL = "https://node.example/datasets/" + FIRST
METADATA = {"name": "Lung “CT” </script>", "version": 1}


@pytest.fixture(params=["local"])
def registrar(request: pytest.FixtureRequest, database: Database) -> Registrar:
    """A registrar that has given nothing yet."""
    return LocalRegistrar(database, "node")


def registered(registrar: Registrar) -> str:
    identifier = registrar.reserve(FIRST)
    registrar.register(identifier, URL, METADATA)
    return identifier


def test_the_same_dataset_gets_the_same_identifier(registrar: Registrar) -> None:
    assert registrar.reserve(FIRST) == registrar.reserve(FIRST)
    assert registrar.reserve(FIRST) != registrar.reserve(SECOND)


def test_an_identifier_is_visible_ascii(registrar: Registrar) -> None:
    identifier = registrar.reserve(FIRST)
    assert is_identifier(identifier)
    assert len(identifier) <= MAX_IDENTIFIER


def test_many_askers_at_once_get_one_identifier(registrar: Registrar) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(registrar.reserve, [FIRST] * 24))) == 1


def test_a_reserved_one_leads_nowhere_yet(registrar: Registrar) -> None:
    found = registrar.resolve(registrar.reserve(FIRST))
    assert found is not None
    assert (found.state, found.url) == (IdentifierState.RESERVED, "")


def test_a_registered_one_leads_to_its_page_with_metadata(registrar: Registrar) -> None:
    found = registrar.resolve(registered(registrar))
    assert found is not None
    assert (found.dataset_id, found.url, found.state) == (FIRST, URL, IdentifierState.REGISTERED)
    assert found.metadata == METADATA


def test_registering_again_replaces(registrar: Registrar) -> None:
    identifier = registered(registrar)
    registrar.register(identifier, URL, METADATA)
    registrar.register(identifier, URL + "/moved", {"version": 2})
    found = registrar.resolve(identifier)
    assert found is not None
    assert (found.url, found.metadata) == (URL + "/moved", {"version": 2})


def test_a_tombstone_goes_on_resolving_and_does_not_change(registrar: Registrar) -> None:
    identifier = registered(registrar)
    registrar.tombstone(identifier, {"reason": "withdrawn"})
    registrar.tombstone(identifier, {"reason": "another"})
    found = registrar.resolve(identifier)
    assert found is not None
    assert (found.state, found.url) == (IdentifierState.TOMBSTONED, URL)
    assert found.metadata == {"reason": "withdrawn"}
    with pytest.raises(IdentifierGone):
        registrar.register(identifier, URL, METADATA)


def test_a_tombstoned_identifier_is_never_given_again(registrar: Registrar) -> None:
    identifier = registered(registrar)
    registrar.tombstone(identifier, {})
    assert registrar.reserve(FIRST) == identifier
    assert registrar.reserve(SECOND) != identifier


@pytest.mark.parametrize("text", ["albufera:node/none", "", "a\x00b", "x" * 5000, "é"])
def test_what_was_never_given_is_unknown(registrar: Registrar, text: str) -> None:
    assert registrar.resolve(text) is None


def test_what_was_never_given_cannot_be_registered_or_withdrawn(registrar: Registrar) -> None:
    with pytest.raises(UnknownIdentifier):
        registrar.register("albufera:node/none", URL, METADATA)
    with pytest.raises(UnknownIdentifier):
        registrar.tombstone("albufera:node/none", {})
    with pytest.raises(UnknownIdentifier):
        registrar.tombstone(registrar.reserve(FIRST), {})


def test_a_name_that_is_taken_is_not_given_twice(database: Database) -> None:
    """Two datasets whose short names collide, by a collision that is made up."""
    mine = LocalRegistrar(database, "node")
    identifier = mine.reserve(FIRST)
    from albufera.publication.backends.records import registrations

    stolen = f"albufera:node/{short_name(SECOND)}"
    with database.write() as connection:
        connection.execute(
            registrations.update()
            .where(registrations.c.identifier == identifier)
            .values(identifier=stolen)
        )
    assert mine.reserve(SECOND) == f"albufera:node/{short_name(SECOND, 1)}"
    assert mine.reserve(FIRST) == stolen
