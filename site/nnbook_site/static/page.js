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

document.addEventListener("DOMContentLoaded", () => {
  const sidebar = document.querySelector(".bd-sidebar-primary");
  sidebar?.setAttribute("role", "navigation");
  sidebar?.setAttribute("aria-label", "Book");
  for (const summary of document.querySelectorAll("summary")) {
    if (!summary.textContent.trim()) summary.setAttribute("aria-label", "Sections");
  }
});
