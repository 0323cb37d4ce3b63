// Sorts the tables inside of `.sortable` by the heading that is clicked.
// What is no number stands below the numbers, in either order.

function value(row, index) {
  const text = row.cells[index].textContent.trim();
  const number = Number(text.replaceAll(",", ""));
  return Number.isNaN(number) ? text : number;
}

function compare(a, b, sign) {
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  if (typeof a === "number") return sign * (a - b);
  return sign * a.localeCompare(b);
}

function sort(table, index, heading) {
  const order =
    heading.getAttribute("aria-sort") === "descending"
      ? "ascending"
      : "descending";
  for (const other of table.tHead.rows[0].cells)
    other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const body = table.tBodies[0];
  [...body.rows]
    .sort((a, b) => compare(value(a, index), value(b, index), sign))
    .forEach((row) => body.append(row));
}

document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll(".sortable table")) {
    for (const cell of table.tBodies[0].querySelectorAll("td"))
      cell.classList.toggle("missing", cell.textContent === "not measured");
    [...table.tHead.rows[0].cells].forEach((heading, index) => {
      const button = document.createElement("button");
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sort(table, index, heading));
      heading.append(button);
    });
  }
});
