// Errors beside their bounds.
const failed = data.rows.filter((row) => row.failure);
document.getElementById("about").textContent =
  `${data.rows.length} checks on ${data.device}` + (data.mixed ? ", mixed precision" : "") + ": " +
  (failed.length ? `${failed.length} failed` : "all within their bounds") +
  ". A share of 1 is the whole of the error that rounding permits.";
const controls = element("div", { class: "controls" });
const kept = filter(controls, (row) => `${row.kernel} ${row.case} ${row.variant} ${row.failure || ""}`, show);
const only = element("input", { type: "checkbox", onchange: show });
controls.append(element("label", {}, only, "failures only"));
const kernels = element("select", { onchange: show, "aria-label": "kernel" }, element("option", { value: "" }, "all kernels"),
  ...[...new Set(data.rows.map((row) => row.kernel))].map((name) => element("option", { value: name }, name)));
const count = element("span", { class: "soft", role: "status" });
controls.append(kernels, count);
main.append(controls);

function bar(row) {
  const width = 100 * Math.min(1, row.ratio == null ? 1 : row.ratio);
  return [element("span", { class: "bar", "aria-hidden": "true" },
    element("span", { style: `width:${width}%` })), digits(row.ratio)];
}
const fill = sortable(main, [
  { head: "share", number: true, of: (row) => (row.failure ? Infinity : row.ratio), show: bar },
  { head: "error", number: true, of: (row) => row.worst, show: (row) => digits(row.worst) },
  { head: "bound", number: true, of: (row) => row.bound, show: (row) => digits(row.bound) },
  { head: "kernel", of: (row) => row.kernel },
  { head: "variant", of: (row) => row.variant },
  { head: "case", of: (row) => row.case, show: (row) => [row.case,
    ...(row.failure ? [element("div", { class: "why" }, row.failure)] : [])] },
], 0);

function show() {
  const rows = data.rows.filter((row) =>
    kept(row) && (!only.checked || row.failure) && (!kernels.value || row.kernel === kernels.value));
  count.textContent = `${rows.length} of ${data.rows.length}`;
  fill(rows);
}
show();
