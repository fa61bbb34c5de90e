"use strict";
// The field above a large table keeps the rows, or the groups of rows, whose headings have all words that are typed.
document.querySelectorAll(".filter").forEach((box) => {
  const field = box.querySelector("input"), told = box.querySelector(".found"), table = box.nextElementSibling.querySelector("table");
  const groups = [];
  table.querySelectorAll("tbody").forEach((body) => {
    if (body.classList.contains("heading")) groups.push({ heading: body, rows: [] });
    else {
      if (!groups.length) groups.push({ heading: null, rows: [] });
      groups.at(-1).rows.push(...body.rows);
    }
  });
  const all = groups.reduce((sum, group) => sum + group.rows.length, 0);
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
});
