"use strict";
const rows = [...document.querySelectorAll("tr[data-verdict]")];
const box = document.getElementById("filter"), shown = document.getElementById("shown");
const cards = [...document.querySelectorAll(".card")];
function filter() {
  const words = (box ? box.value : "").toLowerCase().split(/\s+/).filter(Boolean);
  const kinds = cards.filter(c => c.getAttribute("aria-pressed") === "true").map(c => c.dataset.verdict);
  let count = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !(words.every(w => text.includes(w)) && (!kinds.length || kinds.includes(row.dataset.verdict)));
    count += !row.hidden;
  }
  if (shown) shown.textContent = count === rows.length ? "" : `${count} of ${rows.length}`;
}
if (box) box.addEventListener("input", filter);
for (const card of cards) card.addEventListener("click", () => {
  card.setAttribute("aria-pressed", card.getAttribute("aria-pressed") !== "true");
  filter();
});
for (const button of document.querySelectorAll("[data-sort]")) button.addEventListener("click", () => {
  const head = button.parentElement, column = head.cellIndex, body = head.closest("table").tBodies[0];
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = row => row.cells[column].dataset.key;
  const number = key => key === "" ? Infinity : Number(key);
  const compare = button.dataset.sort === "text" ? (a, b) => key(a).localeCompare(key(b))
    : (a, b) => number(key(a)) - number(key(b));
  body.append(...[...body.rows].sort((a, b) => compare(a, b) * (down ? -1 : 1)));
});
for (const link of document.querySelectorAll('.downloads a[download$=".svg"]')) {
  link.href = link.closest("figure").querySelector("img").src;  // so that it works where the page was sent alone
}
