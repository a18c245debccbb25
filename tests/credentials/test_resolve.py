"""Who is given which credential: the default is no, and what is refused is not even decrypted."""

import itertools
from dataclasses import replace

import pytest

from budflow.credentials.resolve import Resolver
from budflow.execution.ports import CredentialUser
from budflow.model.credential import (
    CredentialNotFound,
    CredentialRecord,
    CredentialRefused,
    CredentialUnfit,
    Grants,
)
from budflow.services.credential_ports import EncryptionKeyMissing
from tests.credentials.resolving import KINDS, USER, CountingStore, World
from tests.credentials.samples import TOKEN, all_that_an_error_shows, given_cipher, sealed_record


@pytest.fixture
def world() -> World:
    return World()


async def test_a_credential_is_opened_by_its_name_or_its_id(world: World) -> None:
    record = await world.add()

    by_name = await world.resolver.open(USER, "crm", ())
    by_id = await world.resolver.open(USER, record.id, ())

    assert by_name is by_id
    assert (by_name.id, by_name.name, by_name.kind, by_name.hosts) == ("crd_1", "crm", "bearer", ("api.example.com",))
    assert by_name.fields()["token"].reveal() == TOKEN
    assert TOKEN not in f"{by_name!r}{by_name.values!r}{world.resolver.__dict__}"


AUTHORS = ("ada", "bob", "", "default")
WORKFLOWS = ("wf_1", "wf_2")
PROJECTS = ("default", "other")
GRANTS = {
    "nobody": Grants(),
    "the project": Grants(project=True),
    "ada": Grants(principals=frozenset({"ada"})),
    "wf_1": Grants(workflows=frozenset({"wf_1"})),
    "bob and wf_2": Grants(principals=frozenset({"bob"}), workflows=frozenset({"wf_2"})),
    "principals named like workflows": Grants(principals=frozenset({"wf_1", "wf_2", "default"})),
    "workflows named like principals": Grants(workflows=frozenset({"ada", "bob", "default"})),
}
#: Who may, in full: (grant, author, workflow) in the credential's own project. Everything else may not.
MAY = {
    *(("the project", author, workflow) for author in AUTHORS for workflow in WORKFLOWS),
    *(("ada", "ada", workflow) for workflow in WORKFLOWS),
    *(("wf_1", author, "wf_1") for author in AUTHORS),
    *(("bob and wf_2", "bob", workflow) for workflow in WORKFLOWS),
    *(("bob and wf_2", author, "wf_2") for author in AUTHORS),
    # An author whose id is "default" is a principal of that name, whatever the project is called.
    *(("principals named like workflows", "default", workflow) for workflow in WORKFLOWS),
}


@pytest.mark.parametrize("grant", GRANTS)
@pytest.mark.parametrize(("project", "author", "workflow"), list(itertools.product(PROJECTS, AUTHORS, WORKFLOWS)))
@pytest.mark.parametrize("cached", [False, True])
async def test_access(world: World, grant: str, project: str, author: str, workflow: str, cached: bool) -> None:
    await world.add(grants=replace(GRANTS[grant], principals=GRANTS[grant].principals | {"eve"}))
    if cached:  # What somebody else was given before changes nothing.
        await world.resolver.open(CredentialUser("default", "wf_9", "eve"), "crm", ())
    user = CredentialUser(project, workflow, author)

    if project != "default":
        with pytest.raises(CredentialNotFound):
            await world.resolver.open(user, "crm", ())
        with pytest.raises(CredentialNotFound):
            await world.resolver.open(user, "crd_1", ())
    elif (grant, author, workflow) in MAY:
        assert (await world.resolver.open(user, "crm", ())).name == "crm"
    else:
        with pytest.raises(CredentialRefused, match="may not use") as caught:
            await world.resolver.open(user, "crm", ())
        assert caught.value.details == {"credential": "crm"}
        assert world.cipher.opened == (1 if cached else 0), "it is not even decrypted"


CALLER, CALLEE = CredentialUser("default", "wf_caller", "ada"), CredentialUser("default", "wf_callee", "bob")


@pytest.mark.parametrize(
    ("grants", "caller", "callee"),
    [
        (Grants(), False, False),
        (Grants(project=True), True, True),
        (Grants(principals=frozenset({"ada"})), True, False),
        (Grants(principals=frozenset({"bob"})), False, True),
        (Grants(workflows=frozenset({"wf_caller"})), True, False),
        (Grants(workflows=frozenset({"wf_callee"})), False, True),
        (Grants(principals=frozenset({"ada"}), workflows=frozenset({"wf_callee"})), True, True),
    ],
)
async def test_a_sub_workflow_is_asked_with_its_own_rights(
    world: World, grants: Grants, caller: bool, callee: bool
) -> None:
    await world.add(grants=grants)

    for user, may in ((CALLER, caller), (CALLEE, callee), (CALLER, caller)):
        if may:
            await world.resolver.open(user, "crm", ())
        else:
            with pytest.raises(CredentialRefused):
                await world.resolver.open(user, "crm", ())


async def test_two_projects_have_credentials_of_one_name_and_each_gets_its_own(world: World) -> None:
    await world.add()
    await world.add(id="crd_2", project_id="other")

    assert (await world.resolver.open(USER, "crm", ())).id == "crd_1"
    assert (await world.resolver.open(replace(USER, project_id="other"), "crm", ())).id == "crd_2"


async def test_a_store_that_answers_with_a_row_of_another_project_is_not_believed(world: World) -> None:
    record = await world.add(project_id="other")

    class Confused(CountingStore):
        async def get_credential(self, project_id: str, reference: str) -> CredentialRecord | None:
            return record

    with pytest.raises(CredentialNotFound):
        await Resolver(Confused(), world.cipher, KINDS).open(USER, "crm", ())


@pytest.mark.parametrize(
    ("kind", "taken", "may"),
    [
        ("bearer", (), True),
        ("bearer", ("basic", "bearer"), True),
        ("bearer", ("basic",), False),
        ("mute", (), False),
        ("mute", ("mute",), True),
        ("vanished", (), False),
        ("vanished", ("vanished",), False),
    ],
)
async def test_only_kinds_that_are_taken_are_opened(world: World, kind: str, taken: tuple[str, ...], may: bool) -> None:
    await world.add(kind=kind)

    if may:
        assert (await world.resolver.open(USER, "crm", taken)).kind == kind
    else:
        with pytest.raises(CredentialUnfit, match=kind):
            await world.resolver.open(USER, "crm", taken)


@pytest.mark.parametrize(
    "values", [b"", b"no json", b"[]", b'{"token": 1}', f'{{"other": "{TOKEN}"}}'.encode(), b'{"token": ""}']
)
async def test_values_that_no_longer_fit_their_kind_are_an_error_that_shows_none(world: World, values: bytes) -> None:
    await world.add(values=values)

    with pytest.raises(CredentialUnfit, match="does not fit") as caught:
        await world.resolver.open(USER, "crm", ())
    assert TOKEN not in all_that_an_error_shows(caught.value)


async def test_a_key_that_is_not_there_is_named_at_the_use(world: World) -> None:
    await world.store.add_credential(sealed_record(given_cipher(2)))

    with pytest.raises(EncryptionKeyMissing, match="crm"):
        await world.resolver.open(USER, "crm", ())
