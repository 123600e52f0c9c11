"""The page: what everybody may see of it, and what it loads."""

from __future__ import annotations

import re

import pytest

HOME = "/api/ext/tinybase-dashboard"
NOBODY: dict[str, str] = {}


@pytest.fixture(params=["", "/"])
def html(tinybase, request):
    """Return the page, opened with and without the last slash."""
    answer = tinybase.get(HOME + request.param, NOBODY)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    return answer.text


def test_the_page_loads_only_what_everybody_may_load_from_the_server_itself(tinybase, html):
    loaded = re.findall(r'(?:src|href)="([^"]*)"', html)

    assert len(loaded) == 3
    for address in loaded:
        with tinybase.get(address, NOBODY) as answer:
            assert answer.status_code == 200, address


def test_the_page_has_no_script_and_no_style_in_it_which_browsers_would_not_run(html):
    assert re.findall(r"<script[^>]*>([^<]*)</script>", html) == [""]
    assert "<style" not in html
    assert not re.search(r'\s(style|on\w+)="', html)


def test_every_field_of_the_page_has_a_label(html):
    fields = re.findall(r'<input (?:type="\w+" )?id="([\w-]+)"', html)

    assert fields == ["email", "password", "automatic"]
    for field in fields[:2]:
        assert f'<label for="{field}">' in html
    assert '<label><input type="checkbox" id="automatic"' in html
