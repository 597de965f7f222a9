// Painting: once per frame, and only what differs.
//
// Views ask to be painted as often as they like and are painted once, together, before
// the next frame. A table's rows are matched to the data by key; the page's own
// <template> makes new ones, so that their markup is written once, by the server.

const waiting = new Set();
const written = new WeakMap();

/** Have a view painted before the next frame. */
export function paint(view) {
  if (waiting.size === 0) requestAnimationFrame(paintAll);
  waiting.add(view);
}

function paintAll() {
  const views = [...waiting];
  waiting.clear();
  for (const view of views) view();
}

/**
 * Make the rows of `body` those of `items`, in order.
 *
 * Each item has a `key`; `fill(row, item, isNew)` writes its cells.
 */
export function patch(body, items, template, fill) {
  const keys = new Set(items.map((item) => String(item.key)));
  const rows = new Map();
  for (const row of [...body.rows]) {
    if (keys.has(row.dataset.key)) rows.set(row.dataset.key, row);
    else row.remove();
  }
  let next = body.firstElementChild;
  for (const item of items) {
    const key = String(item.key);
    let row = rows.get(key);
    const isNew = !row;
    if (isNew) {
      row = template.content.firstElementChild.cloneNode(true);
      row.dataset.key = key;
    }
    if (row === next) next = row.nextElementSibling;
    else body.insertBefore(row, next);
    fill(row, item, isNew);
  }
}

/** Write a cell of a row, and say whether that changed it. */
export function write(row, name, text) {
  let texts = written.get(row);
  if (!texts) written.set(row, (texts = new Map()));
  if (texts.get(name) === text) return false;
  const isFirst = !texts.has(name);
  texts.set(name, text);
  const cell = part(row, name);
  if (cell.textContent === text) return false;
  cell.textContent = text;
  return !isFirst;
}

/** Write a text into an element where it is not there already. */
export function writeText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The part of an element that is called so: [data-cell="name"]. */
export function part(element, name) {
  return element.querySelector(`[data-cell="${name}"]`);
}
