"use strict";
// What every page needs: white paper, whatever the screen shows, and names for the theme's nameless controls.

const root = document.documentElement;
let screenTheme;

function paper(printing) {
  if (printing) {
    screenTheme ??= root.dataset.theme;
    root.dataset.theme = "light";
  } else if (screenTheme) {
    root.dataset.theme = screenTheme;
    screenTheme = undefined;
  }
}

matchMedia("print").addEventListener("change", (event) => paper(event.matches));
window.addEventListener("beforeprint", () => paper(true));
window.addEventListener("afterprint", () => paper(false));

// what the search shows of a page are words; a formula would be its source there
if (typeof Search !== "undefined") {
  const words = Search.htmlToText;
  Search.htmlToText = (page, anchor) => words(page.replace(/\\[([][^]*?\\[)\]]/g, "…"), anchor);
}

document.addEventListener("DOMContentLoaded", () => {
  const sidebar = document.querySelector(".bd-sidebar-primary");
  sidebar?.setAttribute("role", "navigation");
  sidebar?.setAttribute("aria-label", "Book");
  for (const summary of document.querySelectorAll("summary")) {
    if (!summary.textContent.trim()) summary.setAttribute("aria-label", "Sections");
  }
  // Sphinx sets a long signature as a list of definitions that defines nothing
  for (const list of document.querySelectorAll("dt.sig dl")) {
    const lines = document.createElement("span");
    lines.className = "book-parameters";
    for (const { childNodes } of list.children) {
      lines.append(document.createElement("span"));
      lines.lastChild.append(...childNodes);
    }
    list.replaceWith(lines);
  }
  // roles of the bibliography that are no more, and headers of columns that have no name
  for (const entry of document.querySelectorAll(".citation, .citation-list")) entry.removeAttribute("role");
  for (const head of document.querySelectorAll("th")) {
    if (!head.textContent.trim() && !head.querySelector("mjx-container, img")) head.replaceWith(document.createElement("td"));
  }
});
