"""aio-kong, unmodified, creates, reads, changes and removes every entity it knows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trustme
from kong.client import Kong, KongResponseError

pytestmark = pytest.mark.long


def run(url: str, work: Callable[[Kong], Awaitable[None]]) -> None:
    async def connected() -> None:
        async with Kong(url) as kong:
            await work(kong)

    asyncio.run(connected())


def pair() -> dict[str, str]:
    issued = trustme.CA().issue_cert("example.test")
    return {
        "cert": issued.cert_chain_pems[0].bytes().decode(),
        "key": issued.private_key_pem.bytes().decode(),
    }


async def cycle(component: Any, made: Any, change: dict[str, Any]) -> None:
    """Read, change, list and remove what was made."""
    assert (await component.get(made.id)).data == made.data
    assert await component.has(made.id)
    changed = await component.update(made.id, **change)
    assert change.items() <= changed.data.items()
    assert made.id in [entity.id for entity in await component.get_full_list()]
    assert made.id in [entity.id for entity in await component.get_list()]
    assert await component.delete(made.id) is True
    assert not await component.has(made.id)
    with pytest.raises(KongResponseError) as caught:
        await component.get(made.id)
    assert caught.value.status == 404


def test_top_level_entities(admin_url: str) -> None:
    async def work(kong: Kong) -> None:
        service = await kong.services.create(name="s", host="h.test", port=81)
        await cycle(kong.services, service, {"port": 82})
        consumer = await kong.consumers.create(username="bob", custom_id="1")
        await cycle(kong.consumers, consumer, {"custom_id": "2"})
        plugin = await kong.plugins.create(name="key-auth", config={"hide_credentials": True})
        await cycle(kong.plugins, plugin, {"enabled": False})
        route = await kong.routes.create(paths=["/"], name="r")
        await cycle(kong.routes, route, {"paths": ["/b"]})
        certificate = await kong.certificates.create(**pair())
        assert certificate["snis"] == []
        sni = await kong.snis.create(name="a.test", certificate={"id": certificate.id})
        assert (await kong.certificates.get("a.test")).id == certificate.id
        await cycle(kong.snis, sni, {"name": "b.test"})
        await cycle(kong.certificates, certificate, {"tags": ["t"]})

    run(admin_url, work)


def test_entities_of_others(admin_url: str) -> None:
    async def work(kong: Kong) -> None:
        service = await kong.services.create(name="s", host="h.test")
        route = await service.routes.create(paths=["/"])
        assert route["service"] == {"id": service.id}
        assert [entity.id for entity in await service.routes.get_list()] == [route.id]
        for owner in (service, route):
            plugin = await owner.plugins.create(name="acl", config={"allow": ["a"]})
            assert [entity.id for entity in await owner.plugins.get_list()] == [plugin.id]
            assert await owner.plugins.delete_all() == 1
        certificate = await kong.certificates.create(**pair())
        await certificate.snis.create(name="a.test")
        assert len(await certificate.snis.get_list()) == 1
        assert await kong.services.delete(service.id)
        assert await kong.routes.get_list() == []

    run(admin_url, work)


def test_consumers_have_groups_and_credentials(admin_url: str) -> None:
    async def work(kong: Kong) -> None:
        consumer = await kong.consumers.create(username="bob")
        acl = await consumer.acls.create(group="admins")
        assert [entity["group"] for entity in await consumer.acls.get_list()] == ["admins"]
        assert (await kong.acls.get(acl.id))["consumer"] == {"id": consumer.id}
        assert await consumer.acls.delete(acl.id)
        for credentials, data, change in (
            (consumer.keyauths, {"key": "k"}, {"key": "l"}),
            (consumer.basicauths, {"username": "u", "password": "p"}, {"username": "v"}),
        ):
            made = await credentials.create_or_update_credentials(data)
            again = await credentials.create_or_update_credentials(data)
            assert again.id == made.id
            changed = await credentials.update_credentials(made.id, data={**data, **change})
            assert change.items() <= changed.data.items()
            assert await credentials.delete(made.id)
            assert await credentials.get_list() == []
        jwt = await consumer.jwts.create()
        assert (len(jwt["key"]), len(jwt["secret"]), jwt["algorithm"]) == (32, 32, "HS256")
        assert (await consumer.jwts.get_or_create()).id == jwt.id

    run(admin_url, work)


def test_a_whole_configuration_is_applied(admin_url: str) -> None:
    config = {
        "services": [
            {
                "name": "s",
                "host": "h.test",
                "routes": [
                    {"name": "r", "hosts": "a.test", "plugins": [{"name": "key-auth"}]},
                ],
                "plugins": [{"name": "rate-limiting", "config": {"minute": 5}}],
            }
        ],
        "consumers": [
            {
                "username": "bob",
                "groups": ["a", "b"],
                "auths": [{"type": "key-auth", "config": {"key": "k"}}],
            }
        ],
        "plugins": [{"name": "jwt"}],
    }

    async def work(kong: Kong) -> None:
        for _ in range(2):
            result = await kong.apply_json(config)
            assert result["services"][0].data["routes"][0]["hosts"] == ["a.test"]
        assert len(await kong.plugins.get_full_list()) == 3
        await kong.delete_all()
        assert await kong.services.get_list() == []
        assert await kong.consumers.get_list() == []

    run(admin_url, work)


def test_lists_are_followed_over_pages(admin_url: str) -> None:
    async def work(kong: Kong) -> None:
        for number in range(7):
            await kong.services.create(name=f"s{number}", host="h.test", tags=["t"])
        await kong.services.create(name="other", host="h.test")
        found = [entity async for entity in kong.services.paginate(size=2, tags="t")]
        assert sorted(entity.name for entity in found) == [f"s{number}" for number in range(7)]

    run(admin_url, work)


def test_refusals_are_told(admin_url: str) -> None:
    async def work(kong: Kong) -> None:
        with pytest.raises(KongResponseError) as caught:
            await kong.services.create(name="a b")
        assert caught.value.status == 400
        assert caught.value.message["code"] == 2
        await kong.services.create(name="s", host="h")
        with pytest.raises(KongResponseError) as caught:
            await kong.services.create(name="s", host="h")
        assert caught.value.status == 409

    run(admin_url, work)
