import threading

import pytest

from tinybase.errors import BadRequest
from tinybase.settings import DEFINITIONS

PORTAL = {
    "auth_portal_enabled": True,
    "auth_portal_login_redirect_url": "https://app.example.com/in",
    "auth_portal_register_redirect_url": "http://localhost:3000/new?from=portal",
}


def code_of(call, *arguments):
    with pytest.raises(BadRequest) as refused:
        call(*arguments)
    return refused.value.code


def test_every_setting_but_the_secrets_is_shown_with_its_default(room):
    settings = room.settings.get()

    assert settings["instance_name"] == "TinyBase"
    assert settings["allow_public_registration"] is True
    assert settings["token_cleanup_interval"] == 60
    assert settings["metrics_collection_interval"] == 360
    assert settings["storage_endpoint"] is None
    assert settings["updated_at"] is None
    assert set(DEFINITIONS) - set(settings) == {"storage_access_key", "storage_secret_key"}


def test_a_change_keeps_the_rest_and_is_seen_by_every_worker(room, make_room):
    changed = room.settings.update({"instance_name": "Shop", "token_cleanup_interval": 5})

    assert changed["instance_name"] == "Shop"
    assert changed["updated_at"] == room.clock()
    assert changed["allow_public_registration"] is True
    assert make_room().settings.get() == changed
    assert room.settings.value("token_cleanup_interval") == 5
    assert room.settings.value("server_timezone") == "UTC"


def test_null_keeps_and_an_empty_text_clears(room):
    room.settings.update({"storage_bucket": "photos", "storage_region": "eu"})

    settings = room.settings.update({"storage_bucket": "", "storage_region": None})

    assert settings["storage_bucket"] is None
    assert settings["storage_region"] == "eu"


def test_what_is_read_can_be_sent_back_whole(room):
    before = room.settings.update(PORTAL)
    room.clock.advance(seconds=1)

    assert room.settings.update(before) == before


def test_a_secret_is_kept_and_not_shown(room):
    settings = room.settings.update({"storage_secret_key": "s3cret"})

    assert "s3cret" not in repr(settings)
    assert room.settings.value("storage_secret_key") == "s3cret"


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires"])
def test_a_timezone_is_accepted(room, name):
    assert room.settings.update({"server_timezone": name})["server_timezone"] == name


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "America", "../etc/passwd", "europe/berlin"])
def test_an_unknown_timezone_is_refused(room, name):
    with pytest.raises(BadRequest) as refused:
        room.settings.update({"server_timezone": name})

    assert refused.value.code == "invalid_timezone"
    assert "timezone" in refused.value.detail


def test_a_refused_change_is_refused_as_a_whole(room):
    before = room.settings.get()

    code_of(room.settings.update, {"instance_name": "Shop", "server_timezone": "Mars"})

    assert room.settings.get() == before


def test_the_portal_needs_both_redirects(room):
    update = room.settings.update
    login = {"auth_portal_login_redirect_url": PORTAL["auth_portal_login_redirect_url"]}
    assert code_of(update, {"auth_portal_enabled": True}) == "invalid_redirect_url"
    assert code_of(update, {"auth_portal_enabled": True, **login}) == "invalid_redirect_url"

    assert update(PORTAL)["auth_portal_enabled"]

    assert code_of(update, {"auth_portal_login_redirect_url": ""}) == "invalid_redirect_url"
    assert update({"auth_portal_enabled": False, "auth_portal_login_redirect_url": ""})


@pytest.mark.parametrize(
    "url",
    [
        "/app",
        "//app.example.com",
        "app.example.com",
        "https:app.example.com",
        "https://",
        "https://:80/",
        "https://app.example.com:port/",
        "https://[::1",
        "ftp://app.example.com",
        "javascript:alert(1)",
        "https://app.example.com\\@evil.example",
        "https://user@app.example.com/",
        "https://app.example.com/ x",
        "https://app.example.com/\n",
        "https://app.example.com/admin",
        "https://app.example.com/admin/",
        "https://app.example.com/admin/users",
        "https://app.example.com/ADMIN",
        "https://app.example.com//admin",
        "https://app.example.com/x/../admin",
        "https://app.example.com/./admin",
        "https://app.example.com/%61dmin",
        "https://app.example.com/%2561dmin",
        "https://app.example.com/x/%2e%2e/admin",
        "https://app.example.com/%5cadmin",
    ],
)
def test_a_redirect_that_leads_astray_is_refused_while_the_portal_is_on(room, url):
    room.settings.update(PORTAL)

    code = code_of(room.settings.update, {"auth_portal_register_redirect_url": url})

    assert code == "invalid_redirect_url"


@pytest.mark.parametrize(
    "url", ["https://app.example.com", "https://app.example.com/administration", "http://x/a/admin"]
)
def test_a_redirect_that_is_like_a_bad_one_is_accepted(room, url):
    room.settings.update({**PORTAL, "auth_portal_login_redirect_url": url})


def test_changes_at_the_same_time_cannot_contradict_one_another(room):
    room.settings.update({**PORTAL, "auth_portal_enabled": False})
    outcomes = []

    def change(changes):
        try:
            room.settings.update(changes)
        except BadRequest as error:
            outcomes.append(error.code)

    changes = [{"auth_portal_enabled": True}, {"auth_portal_login_redirect_url": ""}]
    threads = [threading.Thread(target=change, args=[each]) for each in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes == ["invalid_redirect_url"]
