// The panel, keys and mouse of a page without a server: what viewer/desk.py does, for the subject in the page.
"use strict";

const CINE_MS = 80; // a slice
const FADE = 0.1; // a step of the opacity keys
const CLOSER = 1.5;
const APPROACH = 1.1; // a step of the wheel in 3-D

// by the first name of a key in viewer/desk.py; the help lists those that are here
const DEEDS = {
  ArrowUp: (panel) => panel.panes.page(1),
  ArrowDown: (panel) => panel.panes.page(-1),
  " ": (panel) => panel.play(),
  m: (panel) => panel.next(),
  g: (panel) => panel.flip("labelled"),
  o: (panel) => panel.flip("outline"),
  ",": (panel) => panel.fade(panel.view.opacity - FADE),
  ".": (panel) => panel.fade(panel.view.opacity + FADE),
  l: (panel) => panel.flip("lines"),
  d: (panel) => panel.flip("measuring"),
  "+": (panel) => panel.panes.magnify(CLOSER),
  "-": (panel) => panel.panes.magnify(1 / CLOSER),
  x: (panel) => panel.maximise(panel.panes.plane),
  r: (panel) => panel.reset(),
  h: (panel) => panel.help(),
  Escape: (panel) => panel.escape(),
};

const $ = (id) => document.getElementById(id);

class Panel {
  constructor(subject) {
    this.subject = subject;
    this.cine = null;
    this.under = null; // voxel under the mouse
    this.panes = new Panes(subject, $("canvas"), $("marks"), () => this.refresh());
    this.build();
  }

  async open() {
    await this.panes.open();
    this.listen();
  }

  get view() {
    return this.panes.view;
  }

  get windows() {
    return this.subject.images.find(({ name }) => name === this.view.image)?.windows ?? [];
  }

  // --- what is there ---

  build() {
    const { name, measures, notes, images, structures, keys, mouse } = this.subject;
    $("name").textContent = name;
    $("size").textContent = measures;
    $("notes").textContent = notes.join("\n");
    $("images").append(...images.map((image) => button(image.title, () => this.turn(image.name))));
    $("flags").append(
      button("labels", () => this.press("g"), "labelled"),
      button("outlines", () => this.press("o"), "outline"),
      button("lines", () => this.press("l"), "lines"),
      button("measure", () => this.press("d"), "measuring"),
      button("cine", () => this.press(" "), "playing"),
      button("keys", () => this.press("h"), "keys"),
    );
    $("structures").append(...structures.map((one, i) => this.entry(one, i + 1)));
    for (const id of ["fill", "labelled", "outline"]) $(id).hidden = !structures.length;
    const known = keys.filter(({ names }) => DEEDS[names[0]]);
    const rows = [{ title: "1-9", says: "windows of the image" }, ...known, ...mouse];
    $("help").append(...rows.map(({ title, says }) => element("tr", [element("td", [title]), element("td", [says])])));
    this.offer();
  }

  // the image's windows
  offer() {
    const presets = this.windows.map((window, i) => button(`${i + 1} ${window[0]}`, () => this.take(window)));
    $("presets").replaceChildren(...presets);
  }

  entry({ name, color, depth }, label) {
    const swatch = element("i");
    const made = element("li", [swatch, element("span", [name])]);
    made.style.paddingLeft = `${12 * depth}px`;
    made.title = name;
    swatch.style.borderColor = color;
    made.addEventListener("click", () => this.toggle(label));
    made.addEventListener("dblclick", () => this.only(label));
    return made;
  }

  refresh() {
    const { view, panes, subject } = this;
    this.hover(this.under);
    $("window").textContent = view.image ? panes.windowed() : "";
    light("images", (i) => subject.images[i].name === view.image);
    light("presets", (i) => this.windows[i] === view.windows.get(view.image));
    const flags = [view.labelled, view.outline, view.lines, view.measuring, this.cine !== null, !$("help").hidden];
    light("flags", (i) => flags[i]);
    $("opacity").value = $("percent").textContent = Math.round(100 * view.opacity);
    $("percent").append(" %");
    [...$("structures").children].forEach((entry, i) => {
      const off = view.hidden.has(i + 1);
      entry.className = off ? "off" : "";
      entry.firstChild.style.background = off ? "transparent" : subject.structures[i].color;
    });
  }

  // --- what is done ---

  turn(image) {
    this.view.image = image;
    this.offer();
    this.panes.show();
  }

  next() {
    const names = this.subject.images.map(({ name }) => name);
    if (names.length) this.turn(names[(names.indexOf(this.view.image) + 1) % names.length]);
  }

  take(window) {
    if (!window) return;
    this.view.windows.set(this.view.image, window);
    this.panes.show();
  }

  flip(flag) {
    this.view[flag] = !this.view[flag];
    this.panes.paint();
  }

  fade(opacity) {
    this.view.opacity = within([0, 1], opacity);
    this.panes.paint();
  }

  toggle(label) {
    if (!this.view.hidden.delete(label)) this.view.hidden.add(label);
    this.panes.paint();
  }

  // one structure alone; all of them again where it is alone already
  only(label) {
    const others = this.subject.structures.map((_, i) => i + 1).filter((other) => other !== label);
    const alone = others.length === this.view.hidden.size && !this.view.hidden.has(label);
    this.view.hidden = new Set(alone ? [] : others);
    this.panes.paint();
  }

  maximise(kind) {
    this.view.alone = this.view.alone ? null : kind;
    this.panes.paint();
  }

  play() {
    clearInterval(this.cine);
    this.cine = this.cine === null ? setInterval(() => this.panes.page(1, true), CINE_MS) : null;
    this.refresh();
  }

  reset() {
    this.panes.reset(this.view.image);
    this.panes.home();
    this.panes.show();
  }

  help() {
    $("help").hidden = !$("help").hidden;
    this.refresh();
  }

  escape() {
    if (!$("help").hidden) this.help();
    else if (this.view.measuring || this.view.ruler.length) this.panes.measure();
    else if (this.view.alone) this.maximise(null);
  }

  // whether the key does anything
  press(key) {
    if (key >= "1" && key <= "9") this.take(this.windows[key - 1]);
    const found = this.subject.keys.find(({ names }) => names.includes(key));
    DEEDS[found?.names[0]]?.(this);
    return Boolean(found);
  }

  // NiiVue's own keys and double click do other things, as its wheel in 3-D does: they are kept from it
  listen() {
    const area = $("panes");
    area.addEventListener("pointerdown", (event) => this.touch(event), true);
    for (const kind of ["pointerdown", "mousedown"]) area.addEventListener(kind, (event) => this.measure(event), true);
    area.addEventListener("wheel", (event) => this.wheel(event), { capture: true, passive: false });
    area.addEventListener("pointermove", (event) => this.move(event));
    area.addEventListener("pointerleave", () => this.hover(null));
    area.addEventListener("contextmenu", (event) => event.preventDefault());
    area.addEventListener("dblclick", (event) => this.double(event), true);
    $("opacity").addEventListener("input", (event) => this.fade(event.target.value / 100));
    addEventListener("keydown", (event) => this.key(event), true);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.stopPropagation();
    if (this.press(event.key)) event.preventDefault();
  }

  double(event) {
    event.stopPropagation();
    this.maximise(this.panes.kind(event));
  }

  touch(event) {
    const kind = this.panes.kind(event);
    if (kind !== "3d") this.panes.plane = kind;
    this.windowing = kind !== "3d" && event.button === 2;
    this.at = [event.clientX, event.clientY];
  }

  // a click sets an end of the ruler instead of the cursor
  measure(event) {
    const voxel = event.button === 0 && this.view.measuring ? this.panes.under(event) : null;
    if (!voxel) return;
    event.stopPropagation();
    if (event.type === "pointerdown") this.panes.measure(voxel);
  }

  wheel(event) {
    this.touch(event);
    if (this.panes.kind(event) !== "3d") return;
    event.preventDefault();
    event.stopPropagation();
    this.panes.approach(event.deltaY < 0 ? APPROACH : 1 / APPROACH);
  }

  // with the right button held: right is wider, down brighter
  move(event) {
    this.hover(this.panes.under(event));
    if (event.shiftKey && !event.buttons && this.under) this.follow(event);
    if (!this.windowing || !(event.buttons & 2)) return;
    const [x, y] = this.at;
    const { clientWidth, clientHeight } = $("panes");
    this.at = [event.clientX, event.clientY];
    this.panes.adjustWindow((2 * (this.at[0] - x)) / clientWidth, (-2 * (this.at[1] - y)) / clientHeight);
  }

  // the cursor goes along with the mouse while Shift is held
  follow(event) {
    this.panes.plane = this.panes.kind(event);
    this.panes.cursor = this.under;
  }

  hover(voxel) {
    this.under = voxel;
    $("foot").textContent = this.panes.reader.text(voxel ?? this.panes.cursor);
  }
}

function button(title, act, id = "") {
  const made = element("button", [title]);
  made.id = id;
  made.addEventListener("click", () => {
    made.blur(); // else the space bar presses it again
    act();
  });
  return made;
}

function light(row, on) {
  [...$(row).children].forEach((one, i) => one.classList.toggle("on", on(i)));
}

function tell(error) {
  $("error").hidden = false;
  $("error").textContent = String(error?.message ?? error);
}

if (document.createElement("canvas").getContext("webgl2")) {
  new Panel(JSON.parse($("subject").textContent)).open().catch(tell);
} else {
  tell("this browser has no WebGL 2, which the page draws with; use a current Firefox, Chrome, Edge or Safari");
}
