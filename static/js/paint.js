// Painting: once per frame, and only what differs.
//
// Views ask to be painted as often as they like and are painted once, together, before
// the next frame. New rows are made from the page's own <template>, so that their markup
// is written once, by the server.
//
// Two ways to keep a table: `fillSlots` where data runs through rows that stand still
// (a book, trades: moving the rows would be hundreds of layout shifts a second), and
// `patch` where a row belongs to one thing for life and may hold the focus (orders).

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
 * Write `items` into the rows of `body`, which stay where they are.
 *
 * `fill(row, item, isSame)` writes the cells; `isSame` says that the row shows the same
 * key as before. With `fromEnd` the last row is the one that stands still.
 */
export function fillSlots(body, items, template, fill, { fromEnd = false } = {}) {
  for (let spare = body.rows.length - items.length; spare > 0; spare -= 1) {
    (fromEnd ? body.firstElementChild : body.lastElementChild).remove();
  }
  for (let missing = items.length - body.rows.length; missing > 0; missing -= 1) {
    const row = template.content.firstElementChild.cloneNode(true);
    if (fromEnd) body.prepend(row);
    else body.append(row);
  }
  const rows = [...body.rows];
  items.forEach((item, index) => {
    const row = rows[index];
    const key = String(item.key);
    const isSame = row.dataset.key === key;
    if (!isSame) row.dataset.key = key;
    fill(row, item, isSame);
  });
}

/**
 * Make the rows of `body` those of `items`, in order, each row one item's for life.
 *
 * Each item has a `key`; `fill(row, item)` writes its cells.
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
    if (!row) {
      row = template.content.firstElementChild.cloneNode(true);
      row.dataset.key = key;
    }
    if (row === next) next = row.nextElementSibling;
    else body.insertBefore(row, next);
    fill(row, item);
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
