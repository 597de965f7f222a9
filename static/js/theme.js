// Light or dark: the system's choice until somebody makes another. Loaded before the
// first paint, as a plain script, so that no page flashes in the wrong colours.

(() => {
  const KEY = "theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  const chosen = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage may be forbidden; the system's choice it is
    }
  };
  const choose = (theme) => {
    try {
      if (theme) localStorage.setItem(KEY, theme);
      else localStorage.removeItem(KEY);
    } catch {
      // then it holds for this page only
    }
  };
  const systems = () => (system.matches ? "dark" : "light");
  const show = (theme) => {
    root.dataset.theme = theme;
    document.dispatchEvent(new CustomEvent("theme", { detail: theme }));
  };

  show(chosen() ?? systems());
  system.addEventListener("change", () => show(chosen() ?? systems()));
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-toggle-theme]")) return;
    const theme = root.dataset.theme === "dark" ? "light" : "dark";
    // Choosing what the system wants anyway means following the system again.
    choose(theme === systems() ? null : theme);
    show(theme);
  });
})();
