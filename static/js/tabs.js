// On a phone one panel is shown at a time; the tabs at the bottom choose it. Without
// scripts the panels stand below each other, and the tabs are links to them.

const tabs = [...document.querySelectorAll("[data-tab]")];

function show(name) {
  document.getElementById("screen-panels").dataset.shown = name;
  for (const tab of tabs) {
    if (tab.dataset.tab === name) tab.setAttribute("aria-current", "true");
    else tab.removeAttribute("aria-current");
  }
}

for (const tab of tabs) {
  tab.addEventListener("click", (event) => {
    event.preventDefault();
    show(tab.dataset.tab);
  });
}
document.addEventListener("tab", ({ detail }) => show(detail));
show("chart");
