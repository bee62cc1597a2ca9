"use strict";
// Formulas and pictures push down what stands below them: go to the linked place again once they are
// there, unless the reader has moved on.

let moved = false;
["wheel", "touchstart", "keydown", "mousedown"].forEach((act) =>
  window.addEventListener(act, () => (moved = true), { once: true, passive: true }),
);
window.addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  if (!moved) document.getElementById(location.hash.slice(1))?.scrollIntoView({ behavior: "instant" });
});
