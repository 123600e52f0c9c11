import pytest

from tinybase.auth import emails


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.com",
        "a+b.c_d@sub.example.co",
        "o'neil@example.com",
        "änne@bücher.example",
        "admin@localhost",
        "x@" + "a" * 63 + ".com",
        "a" * 242 + "@example.com",
    ],
)
def test_an_address_is_accepted(text):
    assert emails.parse(text).address == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "@example.com",
        "ann@",
        "ann@example",
        "ann@@example.com",
        "ann@b@example.com",
        ".ann@example.com",
        "ann.@example.com",
        "an..n@example.com",
        "ann@.example.com",
        "ann@example..com",
        "ann@-example.com",
        "ann@example-.com",
        "ann@" + "a" * 64 + ".com",
        "a" * 243 + "@example.com",
        " ann@example.com",
        "ann@example.com\n",
        "an n@example.com",
        "ann@exa_mple.com",
        "ann@[127.0.0.1]",
        '"ann"@example.com',
        "Ann <ann@example.com>",
        "ann,bob@example.com",
        "ann\u200d@example.com",
        "\u202eann@example.com",
        "ann\x00@example.com",
        "ann\ud800@example.com",
        "ann@example。com",
        "ann＠example.com",
    ],
)
def test_what_is_no_address_is_refused(text):
    assert emails.parse(text) is None


def test_an_address_whose_key_would_not_fit_its_column_is_refused():
    assert emails.parse("\ufb03" * 200 + "@example.com") is None


def test_an_address_is_stored_composed_with_its_domain_in_lower_case():
    assert emails.parse("A\u0308nn@EXAMPLE.com").address == "\u00c4nn@example.com"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann@example.com", "ANN@Example.COM"),
        ("\u00e9ve@example.com", "e\u0301ve@example.com"),
        ("stra\u00dfe@example.com", "STRASSE@example.com"),
        ("\u0130da@example.com", "i\u0307da@example.com"),
        ("\u03c3\u03b1\u03c2@example.com", "\u03a3\u0391\u03a3@example.com"),
        ("k@example.com", "\u212a@example.com"),
    ],
)
def test_two_spellings_are_one_account(one, other):
    assert emails.parse(one).key == emails.parse(other).key == emails.fold(other)


def test_a_dotted_and_a_dotless_i_are_two_accounts():
    assert emails.parse("\u0131da@example.com").key != emails.parse("ida@example.com").key
