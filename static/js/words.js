// The sentences of the page's scripts, translated by the server: see _words.html.

const list = document.getElementById("words");

/** Return a sentence with its {names} replaced. */
export function say(name, facts = {}) {
  const sentence = list.content.querySelector(`[data-word="${name}"]`).textContent;
  return sentence.replace(/\{(\w+)\}/g, (_, fact) => String(facts[fact]));
}
