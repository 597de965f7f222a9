// Passkeys: asks the browser for one, and sends what it says as an ordinary form.

const form = document.querySelector("[data-passkey]");
const words = document.querySelector("[data-passkey-words]");

function complain(word) {
  words.textContent = words.dataset[word];
  words.hidden = false;
}

async function answer() {
  const options = JSON.parse(form.dataset.options);
  if (form.dataset.passkey === "create") {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
    return navigator.credentials.create({ publicKey });
  }
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return navigator.credentials.get({ publicKey });
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  words.hidden = true;
  if (location.origin !== form.dataset.origin) return complain("elsewhere");
  if (!globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON) return complain("unknown");
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  try {
    form.elements.code.value = JSON.stringify((await answer()).toJSON());
    form.submit();
  } catch {
    complain("refused"); // whoever closed the browser's question knows why
    button.disabled = false;
  }
});
