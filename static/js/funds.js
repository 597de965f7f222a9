// The funds pages: copying an address, what a withdrawal comes to, what rests how long,
// and what changes while one looks.

import { countdown, fill, judge } from "./withdrawal.js";

const REFRESH_MS = 5000;
const TICK_MS = 15000;

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
  const field = input.closest(".field");
  const { all, allLabel, fee, least, available } = form.dataset;
  const rules = { fee, least, available, digits: Number(form.dataset.digits) };

  const verdict = document.createElement("p");
  verdict.setAttribute("role", "status");
  const say = () => {
    const judged = judge(input.value, rules);
    const name = judged && `says${judged.says[0].toUpperCase()}${judged.says.slice(1)}`;
    verdict.className = judged && judged.says !== "arrives" ? "complaint" : "hint";
    verdict.textContent = judged ? fill(form.dataset[name], judged.facts) : "";
  };
  input.addEventListener("input", say);

  const button = document.createElement("button");
  button.type = "button";
  button.className = "button";
  button.textContent = allLabel;
  button.addEventListener("click", () => {
    input.value = all;
    input.focus();
    say();
  });
  field.append(button, verdict);
  say();
}

function tick() {
  for (const place of document.querySelectorAll("[data-until]")) {
    const { says, facts } = countdown(Date.parse(place.dataset.until) - Date.now());
    const words = fill(place.dataset[says], facts);
    if (place.textContent !== words) place.textContent = words;
    place.hidden = false;
  }
}

if (document.querySelector("[data-until]")) {
  tick();
  setInterval(tick, TICK_MS);
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
    // Not the HTML: the forms in it have a new token each time.
    if (fresh.textContent !== part.textContent) part.replaceWith(fresh);
  }
}

if (document.querySelector("[data-refresh]")) {
  setInterval(() => refresh().catch(() => {}), REFRESH_MS);
}
