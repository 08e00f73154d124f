"""The identifiers agree with the standard library's and never repeat after a fork."""

from __future__ import annotations

import os
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.lib import ids

ROOT = "fd02801f-0957-4a15-a55a-c8d9606f30b5"


def test_a_random_uuid_is_canonical_and_of_version_4() -> None:
    made = {ids.uuid4() for _ in range(2000)}
    assert len(made) == 2000
    for text in made:
        parsed = uuid.UUID(text)
        assert (parsed.version, parsed.variant, str(parsed)) == (4, uuid.RFC_4122, text)


@given(st.uuids(), st.text(st.characters(exclude_categories=["Cs"])))
def test_named_uuids_are_those_of_the_standard_library(namespace: uuid.UUID, name: str) -> None:
    assert ids.uuid5(str(namespace), name) == str(uuid.uuid5(namespace, name))
    assert ids.uuid3(str(namespace), name) == str(uuid.uuid3(namespace, name))


def test_declarative_namespaces_give_the_documented_id() -> None:
    assert (
        ids.uuid5(ids.uuid5(ROOT, "services"), "my-service")
        == "0855b320-0dd2-547d-891d-601e9b38647f"
    )


@pytest.mark.parametrize(
    "text",
    [ROOT, ROOT.upper(), ids.NIL, "ffffffff-ffff-ffff-ffff-ffffffffffff"],
)
def test_the_canonical_form_is_a_uuid(text: str) -> None:
    assert ids.is_uuid(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        ROOT[:-1],
        ROOT + "0",
        ROOT + "\n",
        ROOT.replace("-", ""),
        "{" + ROOT[:-2] + "}",
        "urn:uuid:" + ROOT,
        ROOT.replace("f", "g"),
        ROOT[:-1] + "\u0663",
        ROOT[:8] + ROOT[9:13] + "--" + ROOT[14:],
    ],
)
def test_any_other_form_is_none(text: str) -> None:
    assert not ids.is_uuid(text)


@pytest.mark.parametrize("make", [ids.uuid3, ids.uuid5])
def test_a_namespace_that_is_no_uuid_is_refused(make: object) -> None:
    with pytest.raises(ValueError, match="UUID"):
        make("nonsense", "name")  # type: ignore[operator]


@pytest.mark.parametrize("make", [ids.uuid3, ids.uuid5])
def test_a_name_that_cannot_be_encoded_is_refused(make: object) -> None:
    with pytest.raises(ValueError, match="not encodable"):
        make(ROOT, "\ud800")  # type: ignore[operator]


def test_children_make_other_ids_than_their_parent() -> None:
    ids.uuid4()
    pipes = [os.pipe() for _ in range(3)]
    children = []
    for _, write in pipes:
        child = os.fork()
        if child == 0:
            os.write(write, ",".join(ids.uuid4() for _ in range(50)).encode())
            os._exit(0)
        children.append(child)
    seen = [ids.uuid4() for _ in range(50)]
    for child, (read, write) in zip(children, pipes, strict=True):
        os.waitpid(child, 0)
        os.close(write)
        seen += os.read(read, 65536).decode().split(",")
        os.close(read)
    assert len(seen) == len(set(seen)) == 200


def test_a_secret_is_32_letters_and_digits_and_new_each_time() -> None:
    made = {ids.new_secret() for _ in range(500)}
    assert len(made) == 500
    assert all(len(secret) == 32 and secret.isascii() and secret.isalnum() for secret in made)
