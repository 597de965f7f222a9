// The live connection: JSON messages from a websocket that is always being repaired.
//
// A market's stream beats every five seconds. Silence for three beats means that what
// we show is old, whatever the socket says.

const BEAT_MS = 5_000;
const STALE_AFTER_MS = 3 * BEAT_MS;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 20_000;

export class Stream {
  #url;
  #onMessage;
  #onState;
  #beats;
  #socket = null;
  #tries = 0;
  #retry = null;
  #silence = null;

  /**
   * `onState` hears "live", "reconnecting" or "stale"; a stream that does not beat is
   * never stale, since its silence means nothing.
   */
  constructor(url, { onMessage, onState, beats = true }) {
    this.#beats = beats;
    this.#url = url;
    this.#onMessage = onMessage;
    this.#onState = onState;
    addEventListener("online", () => this.#connectNow());
    // Keeps the page in the browser's back-and-forward cache, and repairs it after.
    addEventListener("pagehide", () => this.#socket?.close());
    addEventListener("pageshow", (event) => event.persisted && this.#connectNow());
    this.#connect();
  }

  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify(message));
    }
  }

  #connect() {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#listen();
    socket.onmessage = ({ data }) => {
      this.#listen();
      if (this.#tries !== null) this.#onState("live");
      this.#tries = null;
      this.#onMessage(JSON.parse(data));
    };
    socket.onclose = () => {
      if (socket === this.#socket) this.#reconnect("reconnecting");
    };
  }

  #listen() {
    clearTimeout(this.#silence);
    if (!this.#beats) return;
    this.#silence = setTimeout(() => this.#reconnect("stale"), STALE_AFTER_MS);
  }

  #reconnect(state) {
    clearTimeout(this.#silence);
    clearTimeout(this.#retry);
    this.#drop();
    this.#tries = (this.#tries ?? 0) + 1;
    this.#onState(state);
    const wait = Math.min(RETRY_FIRST_MS * 2 ** (this.#tries - 1), RETRY_MAX_MS);
    // Jitter, so that a thousand pages do not come back in the same instant.
    const jittered = wait * (0.5 + Math.random() / 2);
    this.#retry = setTimeout(() => this.#connect(), jittered);
  }

  #connectNow() {
    if (this.#socket?.readyState === WebSocket.OPEN) return;
    clearTimeout(this.#retry);
    this.#drop();
    this.#connect();
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }
}
