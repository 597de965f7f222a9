// Looks at a picture before it is sent: whether it is too large to be taken, and whether
// people will be able to read it. Hints only; the server looks for itself.

const SHORT_SIDE_GOOD = 700;
const DARK = 60; // of 255
const SAMPLE = 48;

for (const form of document.querySelectorAll("form[data-upload]")) {
  for (const input of form.querySelectorAll("input[type=file]")) {
    const hint = document.createElement("p");
    hint.className = "hint";
    hint.setAttribute("role", "status");
    input.closest(".field").append(hint);
    input.addEventListener("change", async () => {
      const file = input.files[0];
      const fault = file ? await faultOf(file, input, form.dataset) : "";
      if (input.files[0] !== file) return; // another was chosen meanwhile
      const size = file ? `${Math.ceil((file.size / 1024 / 1024) * 10) / 10} MB. ` : "";
      hint.textContent = size + fault;
      hint.className = file && fault !== form.dataset.fine ? "complaint" : "hint";
    });
  }
  form.addEventListener("submit", (event) => {
    const tooLarge = [...form.querySelectorAll("input[type=file]")].find(isTooLarge);
    if (!tooLarge) return;
    event.preventDefault();
    tooLarge.focus();
  });
}

function isTooLarge(input) {
  return (input.files[0]?.size ?? 0) > Number(input.dataset.bytesMax);
}

async function faultOf(file, input, words) {
  if (isTooLarge(input)) return words.tooLarge;
  if (!file.type.startsWith("image/")) return words.fine;
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    return ""; // the server will say what is wrong with it
  }
  if (Math.min(picture.width, picture.height) < SHORT_SIDE_GOOD) return words.tooSmall;
  return brightness(picture) < DARK ? words.tooDark : words.fine;
}

function brightness(picture) {
  const canvas = new OffscreenCanvas(SAMPLE, SAMPLE);
  const pen = canvas.getContext("2d");
  pen.drawImage(picture, 0, 0, SAMPLE, SAMPLE);
  const { data } = pen.getImageData(0, 0, SAMPLE, SAMPLE);
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) {
    sum += 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
  }
  return sum / (data.length / 4);
}
