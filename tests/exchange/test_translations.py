"""
The words of the exchange: all of them go through gettext, and all are translated.

What a person can read and no translator has seen is found in the sources: in templates
the text outside of the tags, in Python the texts that are handed to who shows them.
"""

from __future__ import annotations

import ast
import importlib
import operator
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.utils import translation

from accounts import signed_headers, tokens, tonces
from accounts.models.members import Member
from exchange import translations
from exchange.lib import errors
from tests.databases import ROOT
from tests.makers import ApiClient

TEMPLATES = sorted(
    path for path in (ROOT / "templates").rglob("*") if path.suffix in {".html", ".txt"}
)
CODE = sorted(
    path
    for app in ("accounts", "exchange", "markets", "wallets")
    for path in (ROOT / app).rglob("*.py")
    # REST speaks English to bots, and commands to whoever runs the exchange.
    if not {"migrations", "management", "benches", "api"} & set(path.parts)
)
# Names, and signs that every language writes alike.
UNTRANSLATED = {"Pixiu", "Shell", "yyy", "secretkey"}
# Shown as it is sent over the wire.
_VERBATIM = re.compile(r"<(pre|code|script|style)\b.*?</\1>", re.DOTALL)
_TAGS = re.compile(
    r"\{% block page %\}\w+"
    r"|\{%\s*blocktranslate\b.*?%\}.*?\{%\s*endblocktranslate\s*%\}"
    r"|\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}",
    re.DOTALL,
)
_READ_ALOUD = re.compile(r'\b(?:alt|title|placeholder|aria-label|label)="([^"]*)"')
_HTML = re.compile(r"<[^>]*>|&\w+;", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]{2,}")

COUNTED = """<p>It's
  {% blocktranslate trimmed count n=n %}
    one
  {% plural %}
    {{ n }} many
  {% endblocktranslate %}"""

# Where a text lands that people read: keywords of forms, models and the admin.
_SHOWN_AS = {"label", "help_text", "description", "verbose_name", "verbose_name_plural"}
_SHOWING = {"error", "success", "info", "warning", "add_error"}
# REST says these to bots, in English and to the letter.
_FOR_BOTS = (
    *(tokens.UnknownKey, tokens.KeyDisabled, tokens.KeyExpired, tokens.ScopeMissing),
    *(tokens.BadSignature, tokens.AddressNotTrusted),
    *(tonces.TonceUsed, tonces.TonceOutsideWindow),
    *(signed_headers.HeadersMalformed, signed_headers.NonceUsed),
    signed_headers.TimestampOutsideWindow,
)


@pytest.mark.promise("U-87")
@pytest.mark.parametrize("language", translations.languages())
def test_it_has_words_for_everything(language: str) -> None:
    assert translations.problems(language) == []


def test_it_needs_no_backslash_in_a_template() -> None:
    # Django's own extraction reads the quote as the end of the text.
    backslashed = [
        path.name
        for path in TEMPLATES
        if re.search(r"\{%\s*translate\b[^%]*\\", path.read_text())
    ]

    assert not backslashed


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_it_lets_every_text_of_a_template_be_translated(path: Path) -> None:
    assert list(untranslated(path.read_text())) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<p>Hello</p>", ["Hello"]),
        ('<img alt="A cat">', ["A cat"]),
        ("<p>{{ name }}, 25 % · Pixiu</p>", []),
        ('<p>{% translate "Hello" %} <code>GET</code></p>', []),
        ("{% blocktranslate %}Hi <b>you</b>{% endblocktranslate %} there", ["there"]),
    ],
)
def test_it_sees_what_no_translator_saw(source: str, found: list[str]) -> None:
    assert list(untranslated(source)) == found


def test_it_lets_every_text_of_the_code_be_translated() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in CODE
        for line, text in plain_texts(path.read_text(), _module(path))
    ]

    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        'Field(label="Name")',
        'messages.error(request, f"{row}: done.")',
        'raise Refused("Not today.")',
        'class Refused:\n    text = "Not today."',
    ],
)
def test_it_sees_what_code_says_in_one_language(source: str) -> None:
    assert len(list(plain_texts(source))) == 1


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('{% translate "Buy" %}', [("Buy", None)]),
        ("  {% translate 'Open' context \"candle\" %}", [("Open", "candle")]),
        ('{% include "x" with label=_("Price") %}', [("Price", None)]),
        ("{% blocktranslate %}{{ a }} %{% endblocktranslate %}", [("%(a)s %%", None)]),
        (COUNTED, [(("one", "%(n)s many"), None)]),
    ],
)
def test_it_reads_templates(source: str, found: list[object]) -> None:
    messages = translations.in_template(source)

    assert [(message, context) for message, context, _comments in messages] == found


def test_it_reads_code_by_the_names_it_imports() -> None:
    source = (
        "from django.utils.translation import gettext_lazy as _, pgettext as p\n"
        "from django.utils.translation import ngettext\n"
        '_("a" "b"); p("c", "d"); ngettext("one", "%(n)d many", 3); other("e")\n'
    )

    messages = translations.in_python(source)

    assert [(message, context) for message, context, _comments in messages] == [
        ("ab", None),
        ("d", "c"),
        (("one", "%(n)d many"), None),
    ]


def untranslated(source: str) -> Iterator[str]:
    """Yield each text of a template that is in no tag of translation."""
    source = _TAGS.sub("", _VERBATIM.sub("", source))
    texts = [*_READ_ALOUD.findall(source), *_HTML.sub("\n", source).split("\n")]
    for text in texts:
        if set(_WORD.findall(text)) - UNTRANSLATED:
            yield text.strip()


def plain_texts(source: str, names: object = errors) -> Iterator[tuple[int, str]]:
    """
    Yield (line, text) of texts that code hands to people without gettext; `names` is
    the module, or what stands for it.
    """
    for node in ast.walk(ast.parse(source)):
        for shown in _shown(node, names):
            parts = shown.values if isinstance(shown, ast.JoinedStr) else [shown]
            texts = [part.value for part in parts if isinstance(part, ast.Constant)]
            if any(isinstance(text, str) and _WORD.search(text) for text in texts):
                yield shown.lineno, ast.unparse(shown)


def _shown(node: ast.AST, names: object) -> Iterator[ast.expr]:
    if isinstance(node, ast.Call):
        yield from (each.value for each in node.keywords if each.arg in _SHOWN_AS)
        if _is_refusal(node.func, names):
            yield from node.args
        elif isinstance(node.func, ast.Attribute) and node.func.attr in _SHOWING:
            is_log = _name(node.func.value) in {"log", "logger", "logging"}
            yield from () if is_log else node.args[1:]
    elif isinstance(node, ast.ClassDef):
        for line in node.body:
            if isinstance(line, ast.Assign) and _name(line.targets[0]) == "text":
                yield line.value


def _is_refusal(called: ast.expr, names: object) -> bool:
    try:
        found = operator.attrgetter(ast.unparse(called))(names)
    except (AttributeError, TypeError):
        return False
    return (
        isinstance(found, type)
        and issubclass(found, errors.ExchangeError)
        and found not in _FOR_BOTS
    )


def _name(node: ast.expr) -> str:
    return getattr(node, "attr", "") or getattr(node, "id", "")


def _module(path: Path) -> object:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return importlib.import_module(name.removesuffix(".__init__"))


# --- What people see ---------------------------------------------------------------


@pytest.fixture
def browser() -> Client:
    return Client()


@pytest.mark.promise("U-87")
@pytest.mark.django_db
def test_it_speaks_the_language_of_the_browser(browser: Client) -> None:
    page = browser.get("/signin", headers={"Accept-Language": "zh-CN,zh;q=0.9"})

    assert page.headers["Content-Language"] == "zh-hans"
    assert '<html lang="zh-Hans">' in page.content.decode()
    assert "登录" in page.content.decode()


@pytest.mark.django_db
def test_it_never_mixes_languages_on_the_api(alices_bot: ApiClient) -> None:
    alices_bot.browser.get("/signin", headers={"Accept-Language": "zh-CN"})

    answer = alices_bot.post("orders", market="btccny", side="buy", volume="0")

    assert "Failed to create order" in answer.json()["error"]["message"]
    assert answer.content.isascii()


@pytest.mark.parametrize("code", [403, 404, 500])
def test_it_has_an_error_page_in_each_language(code: int) -> None:
    with translation.override("zh-hans"):
        page = render_to_string(f"{code}.html")

    assert '<html lang="zh-Hans">' in page
    assert "市场" in page


@pytest.mark.promise("U-87")
def test_the_desk_speaks_chinese(desk: Client, alice: Member) -> None:
    chinese = {"Accept-Language": "zh-CN,zh;q=0.9"}

    first = desk.get("/admin/", headers=chinese).content.decode()
    members = desk.get("/admin/accounts/member/", headers=chinese).content.decode()

    assert "工单" in first
    assert "Tickets" not in first
    for word in ("显示名称", "创建时间", "正常"):  # two columns and a choice
        assert word in members
    for word in ("Display name", "Created at", "Active"):
        assert word not in members
