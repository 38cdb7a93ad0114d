// Scrolling through a series: wheel, arrow keys, slider; drag for window and level. The form and its
// links do the same without this.
"use strict";

const AHEAD = 4;

class Viewer {
  constructor(form) {
    this.form = form;
    this.slices = Number(form.dataset.slices);
    this.stage = form.querySelector(".viewer-stage");
    this.picture = form.querySelector("[data-picture]");
    this.place = form.querySelector("[data-place]");
    this.slider = form.elements.namedItem("slice");
    this.windows = form.elements.namedItem("window");
    this.alt = this.picture.alt;
    this.kept = new Map();
    this.wheel = 0;
    this.listen();
    this.prefetch();
    form.querySelector("[data-show]").hidden = true;
    form.querySelector("[data-hint]").hidden = false;
  }

  get slice() { return Number(this.slider.value); }
  get window() { return this.windows.value; }

  address(slice) {
    return this.form.dataset.pattern
      .replace("{slice}", String(slice)).replace("{window}", encodeURIComponent(this.window));
  }

  listen() {
    this.slider.addEventListener("input", () => this.show());
    this.windows.addEventListener("change", () => this.show());
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.show(); });
    this.stage.addEventListener("wheel", (event) => this.roll(event), { passive: false });
    this.stage.addEventListener("keydown", (event) => this.key(event));
    this.stage.addEventListener("pointerdown", (event) => this.grab(event));
    this.form.querySelectorAll("[data-step]").forEach((link) => {
      link.addEventListener("click", (event) => { event.preventDefault(); this.step(Number(link.dataset.step)); });
    });
  }

  step(by) {
    const wanted = Math.min(this.slices, Math.max(1, this.slice + by));
    if (wanted === this.slice) return;
    this.slider.value = String(wanted);
    this.show();
  }

  roll(event) {
    if (event.ctrlKey) return;
    event.preventDefault();
    this.wheel += event.deltaY;
    if (Math.abs(this.wheel) < 20) return;
    this.step(Math.sign(this.wheel));
    this.wheel = 0;
  }

  key(event) {
    const steps = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -this.slices, End: this.slices };
    if (!(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.step(steps[event.key]);
  }

  // Sideways widens the window, up and down moves the level, as on a workstation. Needs numbers to start from.
  grab(event) {
    const from = this.window.split(",").map(Number);
    if (event.button !== 0 || event.pointerType === "touch" || from.length !== 2 || from.some(Number.isNaN)) return;
    event.preventDefault();
    this.stage.focus();
    this.stage.setPointerCapture(event.pointerId);
    const scale = Math.max(from[1] / 400, 0.5);
    const move = (at) => {
      const level = Math.round(from[0] + (at.clientY - event.clientY) * scale);
      const width = Math.max(1, Math.round(from[1] + (at.clientX - event.clientX) * scale));
      this.byHand(`${level},${width}`);
    };
    const end = () => { this.stage.removeEventListener("pointermove", move); };
    this.stage.addEventListener("pointermove", move);
    this.stage.addEventListener("pointerup", end, { once: true });
    this.stage.addEventListener("pointercancel", end, { once: true });
  }

  byHand(value) {
    let option = this.windows.querySelector("[data-by-hand]");
    if (!option) {
      option = this.windows.appendChild(document.createElement("option"));
      option.dataset.byHand = "";
    }
    option.value = value;
    option.textContent = `By hand (${value})`;
    option.selected = true;
    this.show();
  }

  // At most one picture is on its way; the latest wish wins.
  show() {
    this.place.textContent = `${this.slice} / ${this.slices}`;
    const steps = this.form.querySelectorAll("[data-step]");
    steps[0].setAttribute("aria-disabled", String(this.slice === 1));
    steps[1].setAttribute("aria-disabled", String(this.slice === this.slices));
    this.wanted = this.address(this.slice);
    if (!this.busy) this.load();
  }

  async load() {
    this.busy = true;
    while (this.wanted) {
      const source = this.wanted;
      this.wanted = "";
      try {
        await this.fetch(source).decode();
        this.picture.src = source;
        this.picture.alt = `${this.alt.replace(/, slice \d+.*$/i, "")}, slice ${this.slice} of ${this.slices}`;
      } catch {
        this.kept.delete(source);
      }
    }
    this.busy = false;
    this.settle();
  }

  fetch(source) {
    let image = this.kept.get(source);
    if (!image) {
      image = new Image();
      image.src = source;
      this.kept.set(source, image);
      if (this.kept.size > 64) this.kept.delete(this.kept.keys().next().value);
    }
    return image;
  }

  prefetch() {
    for (let by = 1; by <= AHEAD; by += 1) {
      for (const slice of [this.slice + by, this.slice - by]) {
        if (slice >= 1 && slice <= this.slices) this.fetch(this.address(slice));
      }
    }
  }

  // Once the hand rests: fetch the neighbours, and make the address one that can be sent to a colleague.
  settle() {
    clearTimeout(this.later);
    this.later = setTimeout(() => {
      this.prefetch();
      const query = new URLSearchParams(new FormData(this.form));
      history.replaceState(null, "", `${location.pathname}?${query}#viewer`);
    }, 300);
  }
}

document.querySelectorAll("[data-viewer]").forEach((form) => new Viewer(form));
