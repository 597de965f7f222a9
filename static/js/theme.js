// Light or dark: the system's choice until somebody makes another. Loaded before the
// first paint, as a plain script, so that no page flashes in the wrong colours. What a
// member chose is kept by the server and comes with the page; a visitor's choice is kept
// by the browser.

(() => {
  const KEY = "theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const { membersTheme } = root.dataset; // light, dark or system; a visitor has none

  const kept = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage may be forbidden; the system's choice it is
    }
  };
  const keep = (theme) => {
    try {
      if (theme) localStorage.setItem(KEY, theme);
      else localStorage.removeItem(KEY);
    } catch {
      // then it holds for this page only
    }
  };
  const tell = (theme) => {
    const body = new URLSearchParams({ theme: theme ?? "" });
    const headers = { "X-CSRFToken": document.body.dataset.csrf };
    // Where it does not arrive, it holds for this page only.
    fetch("/account/theme", { method: "POST", body, headers, keepalive: true }).catch(() => {});
  };
  const systems = () => (system.matches ? "dark" : "light");
  const show = (theme) => {
    root.dataset.theme = theme;
    document.dispatchEvent(new CustomEvent("theme", { detail: theme }));
  };

  let chosen = membersTheme ? membersTheme : kept();
  if (chosen === "system") chosen = null;
  if (membersTheme) keep(chosen); // so it goes on when the member has signed out

  show(chosen ?? systems());
  system.addEventListener("change", () => show(chosen ?? systems()));
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-toggle-theme]")) return;
    const theme = root.dataset.theme === "dark" ? "light" : "dark";
    // Choosing what the system wants anyway means following the system again.
    chosen = theme === systems() ? null : theme;
    keep(chosen);
    if (membersTheme) tell(chosen);
    show(theme);
  });
})();
