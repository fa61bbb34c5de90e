"use strict";
// Large tables get a field that keeps the rows, or the groups of rows, whose headings have all words that are typed.
(() => {
  const LARGE = 12;
  document.querySelectorAll("table.sortable").forEach((table) => {
    const groups = [];
    table.querySelectorAll("tbody").forEach((body) => {
      if (body.classList.contains("heading")) groups.push({ heading: body, rows: [] });
      else {
        if (!groups.length) groups.push({ heading: null, rows: [] });
        groups.at(-1).rows.push(...body.rows);
      }
    });
    const all = groups.reduce((sum, group) => sum + group.rows.length, 0);
    if (all <= LARGE) return;
    const caption = table.caption.textContent.trim();
    const field = Object.assign(document.createElement("input"), { type: "search", placeholder: "Filter rows" });
    field.setAttribute("aria-label", `Filter the rows of: ${caption}`);
    const told = Object.assign(document.createElement("span"), { className: "found" });
    told.setAttribute("role", "status");
    const words = (text) => text.toLowerCase().replaceAll("_", " ");
    field.addEventListener("input", () => {
      const wanted = words(field.value).split(/\s+/).filter(Boolean);
      let left = 0;
      groups.forEach(({ heading, rows }) => {
        let own = 0;
        rows.forEach((row) => {
          const text = words(`${heading ? heading.textContent : ""} ${row.cells[0].textContent} ${row.cells[0].title}`);
          row.hidden = !wanted.every((word) => text.includes(word));
          own += !row.hidden;
        });
        if (heading) heading.hidden = own === 0;
        left += own;
      });
      told.textContent = wanted.length ? `${left} of ${all} rows` : "";
    });
    const box = Object.assign(document.createElement("p"), { className: "filter" });
    box.append(field, told);
    table.closest(".scroll").before(box);
  });
})();
