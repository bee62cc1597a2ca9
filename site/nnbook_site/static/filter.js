"use strict";
// The filter of the claims page: rows that hold all words stay, chapters that hold rows unfold.

document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector(".book-filter");
  const [box, count] = [form.querySelector("input"), form.querySelector("output")];
  const chapters = [...document.querySelectorAll(".book-fold")].map((fold) => {
    const title = fold.querySelector("summary").textContent;
    const rows = [...fold.querySelectorAll("tbody tr")].map((row) => {
      const kinds = row.className.replaceAll("-", " ");
      return { row, text: `${title} ${row.textContent} ${kinds}`.toLowerCase() };
    });
    return { fold, rows };
  });
  const all = chapters.flatMap(({ rows }) => rows).length;

  function filter() {
    const query = box.value.toLowerCase().trim();
    const words = query.split(/\s+/);
    let found = 0;
    for (const { fold, rows } of chapters) {
      const hits = rows.filter(({ row, text }) => {
        const hit = words.every((word) => text.includes(word));
        row.hidden = !hit;
        return hit;
      });
      found += hits.length;
      fold.hidden = hits.length === 0;
      fold.open = query !== "" && hits.length > 0;
    }
    count.value = query ? `${found} of ${all} claims` : `${all} claims`;
  }

  box.addEventListener("input", filter);
  form.querySelectorAll(".book-word").forEach((word) =>
    word.addEventListener("click", () => {
      box.value = box.value === word.textContent ? "" : word.textContent;
      filter();
    }),
  );
  filter();
});
