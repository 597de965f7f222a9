// A switch in every password field that shows what was typed. Where no script runs there
// is none, and the field works as ever.

const template = document.getElementById("show-password");

for (const input of document.querySelectorAll('input[type="password"]')) {
  const button = template.content.firstElementChild.cloneNode(true);
  button.setAttribute("aria-controls", input.id);
  const show = (isShown) => {
    input.type = isShown ? "text" : "password";
    button.setAttribute("aria-pressed", String(isShown));
  };
  button.addEventListener("click", () => {
    show(input.type === "password");
    input.focus();
  });
  // Shown passwords must not be kept by the browser as text.
  input.form?.addEventListener("submit", () => show(false));
  input.after(button);
}
