"""
A window that is watched: what its pages complain about, and what is hard to read, to
press or to understand on them.
"""

from __future__ import annotations

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect

SIZES = {"desk": (1440, 900), "phone": (360, 740)}
THEMES = ("dark", "light")
LANGUAGES = {"en": "en-US", "zh-Hans": "zh-CN"}  # as pages and as browsers write them

# What can be pressed or filled in and is too small, or has no name.
_POOR_CONTROLS = """() => [...document.querySelectorAll('a, button, input')]
  .filter((control) => control.checkVisibility() && control.type !== 'radio')
  .filter((control) => {
    const box = (control.closest('.box') ?? control).getBoundingClientRect();
    const isInText = control.matches('p a');
    const name = control.ariaLabel || control.textContent.trim()
      || control.labels?.[0]?.textContent;
    const isSmall = box.width > 1 && Math.min(box.width, box.height) < 24;
    return !name || (isSmall && !isInText);
  })
  .map((control) => control.outerHTML.slice(0, 120))"""

# Texts whose colour is too close to what they stand on (WCAG 1.4.3).
_POOR_CONTRAST = """() => {
  const channels = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      const [r, g, b, a = 1] = channels(colour);
      if (colour.startsWith('rgb') && a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const texts = [...document.body.querySelectorAll('*')].filter(
    (element) => element.checkVisibility()
      && !element.closest(':disabled, .unseen, .skip, #candles, .credit')
      && [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
  return texts.filter((element) => {
    const [one, other] = [channels(getComputedStyle(element).color).slice(0, 3),
      ground(element)].map(light);
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05) < 4.5;
  }).map((element) => element.outerHTML.slice(0, 120));
}"""

# English sentences on a page in another language: two plain words in a row.
_ENGLISH = r"""() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const { data, parentElement } = walker.currentNode;
    const isOurs = !parentElement.closest(
      'script, template, pre, code, [lang]:not(html), .who, .user-agent');
    if (isOurs && /[A-Za-z]{2,} [a-z]{2,}/.test(data)) found.push(data.trim());
  }
  return found;
}"""


def look_at(page: Page) -> None:
    """See that a page fits, can be pressed and can be read, by day and by night."""
    for theme in THEMES:
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        _find_no_sins(page)


def _find_no_sins(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (
        page.url
    )
    for sin in (_POOR_CONTROLS, _POOR_CONTRAST):
        found = page.evaluate(sin)
        assert found == [], f"{page.url}: {found}"


class Watched:
    """A page in a window of one size, theme and language."""

    def __init__(self, context: BrowserContext, theme: str, language: str) -> None:
        self.page: Page = context.new_page()
        self._theme, self._language = theme, language
        self._complaints: list[str] = []
        self.page.on("pageerror", lambda error: self._complaints.append(str(error)))
        self.page.on("console", self._note)

    def find_nothing_wrong(self) -> None:
        """Look at the page as it is now; what is wrong fails the test by its name."""
        page, path = self.page, self.page.url
        assert self._complaints == [], path
        root = "document.documentElement"
        assert page.evaluate(f"{root}.dataset.theme") == self._theme, path
        assert page.evaluate(f"{root}.lang") == self._language, path
        _find_no_sins(page)
        if self._language != "en":
            found = page.evaluate(_ENGLISH)
            assert found == [], f"{path}: {found}"

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and "404" not in message.text:
            self._complaints.append(message.text)
