// Reads cases as JSON on standard input, says of each whether the page's verifier
// accepts it: see tests/solvency_corpus.py.

import { openManifest, verifyChain, verifyLeaves, verifyLegacy, verifyProof, Unproven }
  from "../../../static/js/proofs.js";

const verify = {
  async proof([proof, envelope]) {
    return verifyProof(proof, (await openManifest(envelope)).manifest);
  },
  async leaves([list, envelope, asset]) {
    const bytes = new Uint8Array(Buffer.from(list, "base64"));
    return verifyLeaves(bytes, (await openManifest(envelope)).manifest, asset);
  },
  chain: (envelopes) => verifyChain(envelopes),
  legacy: ([partial, root]) => verifyLegacy(partial, root),
};

let input = "";
for await (const piece of process.stdin) input += piece;
const verdicts = [];
for (const { kind, files } of JSON.parse(input)) {
  try {
    await verify[kind](files);
    verdicts.push(true);
  } catch (error) {
    if (!(error instanceof Unproven)) throw error;
    verdicts.push(false);
  }
}
process.stdout.write(JSON.stringify(verdicts));
