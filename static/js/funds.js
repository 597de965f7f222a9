// The funds pages: copying an address, taking all, and what changes while one looks.

const REFRESH_MS = 5000;

for (const button of document.querySelectorAll("[data-copies]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copies);
    await navigator.clipboard.writeText(source.dataset.copy);
    const words = button.textContent;
    button.textContent = button.dataset.done;
    setTimeout(() => (button.textContent = words), 2000);
  });
}

for (const form of document.querySelectorAll("form[data-all]")) {
  const input = form.querySelector("[name=amount]");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button";
  button.textContent = form.dataset.allLabel;
  button.addEventListener("click", () => {
    input.value = form.dataset.all;
    input.focus();
  });
  input.closest(".field").append(button);
}

// The page is asked for again, and the parts that say so are exchanged; not while
// somebody is at work in one, or looks elsewhere.
async function refresh() {
  const parts = [...document.querySelectorAll("[data-refresh]")];
  if (document.hidden || !parts.length) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of parts) {
    const fresh = page.getElementById(part.id);
    if (!fresh || part.contains(document.activeElement)) continue;
    if (fresh.innerHTML !== part.innerHTML) part.replaceWith(fresh);
  }
}

if (document.querySelector("[data-refresh]")) {
  setInterval(() => refresh().catch(() => {}), REFRESH_MS);
}
