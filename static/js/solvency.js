// "Check now" on a member's part of the proof. All files came with the page: whoever
// checks asks nobody, so that nobody can tell who does.

import { openManifest, textOf, Unproven, verifyLegacy, verifyProof } from "./proofs.js";

const button = document.querySelector("[data-verify]");

button?.addEventListener("click", check);
if (button) button.disabled = false;

async function check() {
  const { manifest: envelope, proofs } = JSON.parse(document.getElementById("files").textContent);
  const words = button.dataset;
  button.disabled = true;
  for (const files of proofs) {
    const row = document.querySelector(`[data-currency="${files.currency}"]`);
    const result = row.querySelector("[data-result]");
    if (!globalThis.crypto?.subtle) {
      result.textContent = words.impossible;
      continue;
    }
    const isProven = await isTheirs(envelope, files, words.user, row.dataset.amount);
    result.textContent = isProven ? words.proven : words.unproven;
    result.className = isProven ? "proven" : "complaint";
  }
  button.disabled = false;
}

async function isTheirs(envelope, files, user, amount) {
  try {
    const { manifest } = await openManifest(envelope);
    const told = manifest.assets.find(({ asset }) => asset === files.currency.toUpperCase());
    const proven = await verifyProof(files.proof, manifest);
    const older = await verifyLegacy(files.partial_tree, files.root);
    return told.legacy === files.root && proven.asset === told.asset
      && proven.user === user && older.user === user
      && textOf(proven.total, proven.scale) === amount && older.sum === amount;
  } catch (error) {
    if (!(error instanceof Unproven)) throw error;
    console.error(error.message);
    return false;
  }
}
