// Recovery codes: onto paper, or into the clipboard. Without scripts there is a download.

for (const button of document.querySelectorAll("button[hidden]")) button.hidden = false;

document.addEventListener("click", async ({ target }) => {
  if (target.closest("[data-print]")) print();
  const button = target.closest("[data-copy]");
  if (!button) return;
  const codes = document.querySelectorAll(`#${button.dataset.copy} code`);
  const text = [...codes].map((code) => code.textContent).join("\n");
  await navigator.clipboard.writeText(text);
  button.textContent = button.dataset.copied;
});
