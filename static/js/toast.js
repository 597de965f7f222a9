// Short notes in the corner. Good news is announced politely, bad news at once.

const SHOWN_MS = 6_000;
const SHOWN_MAX = 4;

/** Show a note: kind is "good", "info" or "bad". */
export function toast(text, kind = "info") {
  const note = document.createElement("p");
  note.className = `toast ${kind}`;
  note.textContent = text;
  const place = document.getElementById(kind === "bad" ? "alerts" : "notes");
  place.append(note);
  if (place.childElementCount > SHOWN_MAX) place.firstElementChild.remove();
  setTimeout(() => note.remove(), SHOWN_MS);
}
