"use strict";
// Draw each stored plotly figure when it comes near the window, in the colours of the page, with native
// controls for sliders and menus. A solid turns after a click, so that wheel and finger scroll the page until
// then; far from the window it gives its WebGL context back, of which a phone has eight.

const ABOVE = { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom" };

function themed() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--pst-color-${name}`).trim();
  const [ink, line, page] = ["text-base", "border", "background"].map(colour);
  const clear = "rgba(0,0,0,0)";
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, tickcolor: line };
  const face = { ...axis, color: ink, showbackground: false };
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
  };
  return { layout };
}

// a phone shows less to the left and right of a solid, so its camera steps back
function fartherOff(scene) {
  const { eye } = scene.camera ?? {};
  const far = eye && Object.fromEntries(Object.entries(eye).map(([axis, x]) => [axis, 1.6 * x]));
  return far ? { ...scene, camera: { ...scene.camera, eye: far } } : scene;
}

// keys of a solid: around, up, and how much nearer
const TURNS = {
  ArrowLeft: [-1, 0, 1],
  ArrowRight: [1, 0, 1],
  ArrowUp: [0, 1, 1],
  ArrowDown: [0, -1, 1],
  "+": [0, 0, 0.9],
  "-": [0, 0, 1 / 0.9],
};

// one figure: what the page stores of it, and what the reader has done to it
class Figure {
  constructor(box) {
    this.box = box;
    this.plot = box.firstElementChild;
    this.stored = JSON.parse(box.querySelector("script").textContent);
    this.solid = Boolean(this.stored.layout?.scene) || this.stored.data.some((trace) => trace.type.endsWith("3d"));
    this.drawn = false;
    this.addControls();
    if (this.solid) this.addTurning();
  }

  draw() {
    if (this.drawn) return;
    this.drawn = true;
    const { width, sliders, updatemenus, ...layout } = this.stored.layout || {}; // the page's width, native controls
    layout.font = { ...layout.font, color: undefined }; // and the page's colour of text
    layout.template = themed();
    const narrow = this.box.clientWidth < 500;
    if (narrow) {
      layout.legend = { ...layout.legend, ...ABOVE };
      if (layout.scene) layout.scene = fartherOff(layout.scene);
    }
    if (this.camera) layout.scene = { ...layout.scene, camera: this.camera };
    // on a phone the tool bar would lie over the title; no button may send the figure elsewhere
    const bar = { displayModeBar: narrow ? false : "hover", displaylogo: false, showSendToCloud: false };
    const config = { responsive: true, scrollZoom: this.solid, ...bar, ...this.stored.config };
    config.modeBarButtonsToRemove = ["sendChartToCloud"];
    this.ready = window.Plotly.newPlot(this.plot, { ...this.stored, layout, config }).then(() => this.restore?.());
  }

  // give the WebGL context back, but keep where the reader left the camera
  async release() {
    if (!this.drawn || !this.solid) return;
    this.drawn = false;
    await this.ready;
    this.camera = this.plot._fullLayout?.scene?._scene?.getCamera() ?? this.camera;
    this.rest();
    if (!this.drawn) window.Plotly.purge(this.plot);
  }

  recolour() {
    if (this.drawn) window.Plotly.relayout(this.plot, { template: themed() });
  }

  addControls() {
    const { sliders = [], updatemenus = [] } = this.stored.layout ?? {};
    const act = ({ method, args }) => window.Plotly[method](this.plot, ...structuredClone(args));
    for (const { steps, active = 0, currentvalue } of sliders) {
      const range = element("input", { type: "range", min: 0, max: steps.length - 1, step: 1, value: active });
      const name = (currentvalue?.prefix ?? "").replace(/ = $/, "") || "frame";
      const value = element("output", { textContent: steps[active].label });
      range.setAttribute("aria-valuetext", steps[active].label);
      this.restore = () => Number(range.value) !== active && act(steps[range.value]);
      range.addEventListener("input", () => {
        value.textContent = steps[range.value].label;
        range.setAttribute("aria-valuetext", value.textContent);
        if (this.drawn) act(steps[range.value]);
      });
      this.box.append(control(name, range, value));
    }
    for (const { buttons, active = 0 } of updatemenus) {
      const select = element("select", {});
      buttons.forEach(({ label }, k) => select.add(new Option(label, k, k === active, k === active)));
      this.restore = () => Number(select.value) !== active && act(buttons[select.value]);
      select.addEventListener("change", () => this.drawn && act(buttons[select.value]));
      this.box.append(control("Show", select));
    }
  }

  addTurning() {
    const { box, plot } = this;
    const hint = element("button", { type: "button", className: "book-hint", textContent: "Click to turn" });
    hint.setAttribute("aria-label", "Click to turn the figure with the mouse, or use the arrow keys, plus and minus");
    hint.style.top = `calc(${plot.style.height} - 2.4rem)`;
    plot.after(hint);
    box.classList.add("book-solid");
    box.addEventListener("click", (event) => event.target.closest("label") || this.wake(hint));
    document.addEventListener("pointerdown", (event) => box.contains(event.target) || this.rest());
    box.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.rest();
      else if (event.target === hint && event.key in TURNS) this.turn(event);
    });
  }

  wake(hint) {
    this.box.classList.add("awake");
    hint.focus({ preventScroll: true });
  }

  rest() {
    this.box.classList.remove("awake");
  }

  turn(event) {
    event.preventDefault();
    const camera = this.plot._fullLayout?.scene?._scene?.getCamera();
    if (!camera) return;
    const [around, up, nearer] = TURNS[event.key];
    const { x, y, z } = camera.eye;
    const far = Math.hypot(x, y, z) * nearer;
    const angle = Math.atan2(y, x) + 0.15 * around;
    const height = Math.max(-1.5, Math.min(1.5, Math.asin(z / Math.hypot(x, y, z)) + 0.15 * up));
    const flat = far * Math.cos(height);
    const eye = { x: flat * Math.cos(angle), y: flat * Math.sin(angle), z: far * Math.sin(height) };
    window.Plotly.relayout(this.plot, { "scene.camera": { ...camera, eye } });
  }
}

const element = (name, properties) => Object.assign(document.createElement(name), properties);

function control(name, ...parts) {
  const label = element("label", { className: "book-control" });
  label.append(element("span", { textContent: name }), ...parts);
  return label;
}

document.addEventListener("DOMContentLoaded", async () => {
  const figures = new Map([...document.querySelectorAll(".book-plotly")].map((box) => [box, new Figure(box)]));
  await window.MathJax?.startup?.promise; // axis titles may hold formulas
  const watch = (margin, act) => new IntersectionObserver((entries) => entries.forEach(act), { rootMargin: margin });
  const near = watch("400px", ({ isIntersecting, target }) => isIntersecting && figures.get(target).draw());
  const far = watch("1200px", ({ isIntersecting, target }) => isIntersecting || figures.get(target).release());
  for (const box of figures.keys()) [near, far].forEach((observer) => observer.observe(box));
  window.addEventListener("beforeprint", () => figures.forEach((figure) => figure.draw()));
  new MutationObserver(() => figures.forEach((figure) => figure.recolour())).observe(document.documentElement, {
    attributeFilter: ["data-theme"],
  });
});
