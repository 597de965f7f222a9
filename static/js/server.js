// Requests to our own server: JSON in and out, with the session and its CSRF token.

import { say } from "./words.js";

/** The server said no, and why. `code` is "unreachable" when it said nothing. */
export class Refusal extends Error {
  constructor(code, message, facts = {}) {
    super(message);
    this.code = code;
    this.facts = facts;
  }
}

const ANSWER_WITHIN_MS = 15_000;

/** Ask, and return the answer's JSON. Throws Refusal. */
export async function ask(method, path, body) {
  const response = await send(method, path, body);
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  if (answer?.error) {
    const { code, message, facts } = answer.error;
    throw new Refusal(code, message, facts);
  }
  // Not one of our own refusals: the session or its token has gone, or a proxy spoke.
  if (response.status === 403) throw new Refusal("session_over", say("session-over"));
  throw new Refusal("unreachable", say("unreachable"));
}

async function send(method, path, body) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") {
    headers["X-CSRFToken"] = document.body.dataset.csrf;
    headers["Content-Type"] = "application/json";
  }
  try {
    return await fetch(path, {
      method,
      headers,
      body: body && JSON.stringify(body),
      credentials: "same-origin",
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
  } catch {
    throw new Refusal("unreachable", say("unreachable"));
  }
}
