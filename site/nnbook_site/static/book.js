"use strict";
// Draw each stored plotly figure once it comes near the window, in the colours of the page,
// and again in the new ones when the reader switches between light and dark.

const ABOVE = { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom" };

const isObject = (x) => x !== null && typeof x === "object" && !Array.isArray(x);

function merged(base, top) {
  const all = { ...base };
  for (const [key, value] of Object.entries(top)) {
    all[key] = isObject(value) && isObject(all[key]) ? merged(all[key], value) : value;
  }
  return all;
}

function themed(template) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--pst-color-${name}`).trim();
  const [ink, line, panel, page] = ["text-base", "border", "surface", "background"].map(colour);
  const clear = "rgba(0,0,0,0)";
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, tickcolor: line };
  const face = { ...axis, color: ink, showbackground: false };
  const control = { bgcolor: panel, bordercolor: line, font: { color: ink } };
  const layout = {
    font: { color: ink, family: style.getPropertyValue("--pst-font-family-base") },
    title: { font: { color: ink } },
    paper_bgcolor: clear,
    plot_bgcolor: clear,
    xaxis: axis,
    yaxis: axis,
    scene: { bgcolor: clear, xaxis: face, yaxis: face, zaxis: face },
    legend: { ...ABOVE, bgcolor: clear },
    margin: { l: 60, r: 20, t: 40, b: 50 },
    hoverlabel: { bgcolor: page, bordercolor: line, font: { color: ink } },
    modebar: { bgcolor: clear, color: line, activecolor: ink },
    annotationdefaults: { arrowcolor: ink, font: { color: ink } },
    sliderdefaults: { ...control, activebgcolor: line, tickcolor: line },
    updatemenudefaults: { ...control, activecolor: line },
  };
  return merged(template || {}, { layout });
}

// a phone shows less to the left and right of a solid, so its camera steps back
function fartherOff(scene) {
  const { eye } = scene.camera ?? {};
  const far = eye && Object.fromEntries(Object.entries(eye).map(([axis, x]) => [axis, 1.6 * x]));
  return far ? { ...scene, camera: { ...scene.camera, eye: far } } : scene;
}

function draw(box) {
  const figure = JSON.parse(box.querySelector("script").textContent);
  const { width, ...layout } = figure.layout || {}; // the page's width, also on a phone
  layout.font = { ...layout.font, color: undefined }; // and its colour of text
  box.template = layout.template;
  layout.template = themed(box.template);
  if (box.clientWidth < 500) {
    layout.legend = { ...layout.legend, ...ABOVE };
    if (layout.scene) layout.scene = fartherOff(layout.scene);
  }
  // on a phone the tool bar would lie over the title
  const bar = box.clientWidth < 500 ? { displayModeBar: false } : {};
  const config = { responsive: true, displaylogo: false, scrollZoom: false, ...bar, ...figure.config };
  return window.Plotly.newPlot(box.firstElementChild, { ...figure, layout, config });
}

document.addEventListener("DOMContentLoaded", async () => {
  const boxes = [...document.querySelectorAll(".book-plotly")];
  await window.MathJax?.startup?.promise; // axis titles may hold formulas
  const drawn = new Set();
  const drawOnce = (box) => drawn.has(box) || (drawn.add(box), draw(box));
  const nearby = new IntersectionObserver(
    (entries) => entries.filter((e) => e.isIntersecting).forEach((e) => drawOnce(e.target)),
    { rootMargin: "400px" },
  );
  boxes.forEach((box) => nearby.observe(box));
  window.addEventListener("beforeprint", () => boxes.forEach(drawOnce));
  new MutationObserver(() => {
    for (const box of drawn) window.Plotly.relayout(box.firstElementChild, { template: themed(box.template) });
  }).observe(document.documentElement, { attributeFilter: ["data-theme"] });
});
