// Looks at files before they are sent: whether they are too many or too large to be
// taken, and whether people will be able to read a picture of a document. Hints only; the
// server looks for itself.

const SHORT_SIDE_GOOD = 700;
const DARK = 60; // of 255
const SAMPLE = 48;

for (const form of document.querySelectorAll("form[data-upload]")) {
  const inputs = [...form.querySelectorAll("input[type=file]")];
  for (const input of inputs) {
    const hint = document.createElement("p");
    hint.className = "hint";
    hint.setAttribute("role", "status");
    input.closest(".field").append(hint);
    input.addEventListener("change", async () => {
      const chosen = [...input.files];
      const fault = chosen.length ? await faultOf(input, form.dataset) : "";
      if (input.files[0] !== chosen[0]) return; // others were chosen meanwhile
      const isFine = !fault || fault === form.dataset.fine;
      hint.textContent = [sizeOf(chosen), fault].filter(Boolean).join(" ");
      hint.className = isFine ? "hint" : "complaint";
    });
  }
  form.addEventListener("submit", (event) => {
    const refused = inputs.find((input) => refusalOf(input, form.dataset));
    if (!refused) return;
    event.preventDefault();
    refused.focus();
  });
}

function sizeOf(files) {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  return bytes ? `${Math.ceil((bytes / 1024 / 1024) * 10) / 10} MB.` : "";
}

/** Says what the server would refuse; nothing where it would not. */
function refusalOf({ files, dataset }, words) {
  if (files.length > Number(dataset.filesMax ?? 1)) return words.tooMany;
  const isTooLarge = ({ size }) => size > Number(dataset.bytesMax);
  return [...files].some(isTooLarge) ? words.tooLarge : "";
}

async function faultOf(input, words) {
  const refusal = refusalOf(input, words);
  if (refusal || !words.fine) return refusal;
  const [file] = input.files;
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
