"use strict";
// Paper is white: print the light page, whatever the screen shows.

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
