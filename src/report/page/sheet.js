"use strict";
// What the pages of checks and of times share: elements, a filter, and a table that can be sorted.
const data = JSON.parse(document.getElementById("facts").textContent);
const main = document.getElementById("main");

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function shape(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/// A number with four digits.
function digits(value) {
  if (value == null) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

const percent = (share) => (share == null ? "–" : (100 * share).toFixed(1) + " %");

/// A table of `rows` with these columns: {head, of, number, show}. Returns what shows some of the rows.
function sortable(place, columns, first) {
  let by = first, down = true, rows = [], most = 400;
  const body = element("tbody"), more = element("button", { type: "button", onclick: () => { most = Infinity; draw(); } });
  const heads = columns.map((column, i) => element("th", {}, element("button", {
    type: "button", class: "sort", onclick: () => { down = by === i ? !down : column.number === true; by = i; draw(); },
  }, column.head)));
  place.append(
    element("div", { class: "wide" }, element("table", { class: "rows" }, element("thead", {}, element("tr", {}, ...heads)), body)), more);
  function draw() {
    heads.forEach((head, i) => head.setAttribute("aria-sort", i !== by ? "none" : down ? "descending" : "ascending"));
    const { of } = columns[by], sign = down ? -1 : 1;
    // What has no number failed, or could not be timed: it is the worst.
    const key = (row) => { const value = of(row); return value == null ? Infinity : value; };
    const sorted = [...rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      return sign * (x < y ? -1 : x > y ? 1 : 0);
    });
    body.replaceChildren(...sorted.slice(0, most).map((row) => element("tr", { class: row.failure ? "failed" : null },
      ...columns.map((column) => element("td", { class: column.number ? "number" : null },
        ...[column.show ? column.show(row) : String(column.of(row))].flat())))));
    more.hidden = sorted.length <= most;
    more.textContent = `show all ${sorted.length}`;
  }
  return (some) => { rows = some; draw(); };
}

/// A field to type into, which tells what rows hold all of its words.
function filter(place, texts, changed) {
  const field = element("input", { type: "search", id: "filter", placeholder: "kernel, shape, variant", oninput: changed });
  place.append(element("label", { for: "filter" }, "filter ", field));
  return (row) => {
    const text = texts(row).toLowerCase();
    return field.value.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  };
}
