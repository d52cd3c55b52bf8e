// Linked slices and the organs in 3-D, drawn by NiiVue. Voxels are [x, y, z] on LPS+ axes.
"use strict";

const { Niivue, NVImage, NVMesh, DRAG_MODE } = niivue;
const KINDS = { axial: 0, coronal: 1, sagittal: 2, "3d": 4 }; // NiiVue's numbers
const QUARTERS = [
  ["axial", [0, 0, 0.5, 0.5]],
  ["3d", [0.5, 0, 0.5, 0.5]],
  ["coronal", [0, 0.5, 0.5, 0.5]],
  ["sagittal", [0.5, 0.5, 0.5, 0.5]],
];
const CAMERA = [155, 18]; // degrees: from the front, a little from the left and from above
const CLOSE = 1.3; // 3-D fills its pane
const SCALES = [0.5, 8]; // of 3-D
const ZOOMS = [1, 16]; // of slices
const LEAST_WIDTH = 1e-3; // of a window, as a share of its image's default one
const CROSS = 0.004; // width of the lines, as a share of the longest edge
const GAP = 0.025; // and what they leave free about the cursor
const NOWHERE = [-1, 0, 0]; // a clip plane that leaves nothing of the image
const FAINTEST = 1; // fill of a structure that has its outline alone; 0 has none
const OPTIONS = {
  backColor: [0, 0, 0, 1],
  crosshairColor: [0.47, 0.78, 0.47, 1],
  crosshairWidthUnit: "mm",
  isRadiologicalConvention: true,
  sagittalNoseLeft: true,
  isOrientationTextVisible: false,
  meshThicknessOn2D: 0,
  isOrientCube: true,
  isForceMouseClickToVoxelCenters: true,
  dragAndDropEnabled: false,
  mouseEventConfig: {
    leftButton: { primary: DRAG_MODE.crosshair },
    rightButton: DRAG_MODE.none,
    centerButton: DRAG_MODE.pan,
  },
  logLevel: "error",
};

class Panes {
  // over: an element over the canvas; changed: called after every drawing
  constructor(subject, canvas, over, changed) {
    this.subject = subject;
    this.canvas = canvas;
    this.over = over;
    this.changed = changed;
    const { size, axes } = subject.grid;
    this.extent = Math.max(...size.map((count, i) => count * Math.hypot(...axes.map((row) => row[i])))); // mm
    this.reset(subject.shown);
  }

  reset(image) {
    this.view = {
      image,
      windows: new Map(this.subject.images.map((one) => [one.name, one.windows[0]])),
      opacity: this.subject.opacity,
      outline: true,
      labelled: true,
      lines: true,
      hidden: new Set(),
      zoom: this.subject.zoom,
      alone: null,
      measuring: false,
      ruler: [], // voxels
    };
    this.plane = "axial"; // that keys and cine page through: the last one that was touched
  }

  async open() {
    this.nv = new Niivue(OPTIONS);
    this.nv.drawOpacity = 0; // in 3-D; slices take it from the table of colours
    this.drawOnceAFrame();
    await this.nv.attachToCanvas(this.canvas);
    const images = new Map();
    for (const { name, data } of this.subject.images) images.set(name, await decoded(data));
    const labels = this.subject.labels && (await decoded(this.subject.labels));
    this.nv.setCustomSliceShader(document.getElementById("slice").textContent);
    this.nv.setDrawColormap(table(this.subject.structures));
    await this.addOrgans();
    this.reader = new Reader(this.subject, images, labels);
    this.show();
    if (labels) this.nv.loadDrawing(labels); // onto the image's grid
    this.home();
  }

  // where everything is seen at first
  home() {
    this.nv.setRenderAzimuthElevation(...CAMERA);
    this.nv.setScale(CLOSE);
    this.cursor = this.subject.cursor;
    this.centre();
  }

  // surfaces in 3-D, those that are seen through last; where there are none the image is shown
  async addOrgans() {
    const { structures } = this.subject;
    this.organs = await Promise.all(structures.map((one) => one.surface && surfaceOf(one, this.nv.gl)));
    const lit = this.nv.meshShaders.findIndex(({ Name }) => Name === "Diffuse");
    for (const organ of this.organs) if (organ) organ.meshShaderIndex = lit;
    this.nv.meshes = this.organs.filter(Boolean).sort((a, b) => b.opacity - a.opacity);
    if (this.nv.meshes.length) this.nv.setClipPlane(NOWHERE);
  }

  // NiiVue draws at every change
  drawOnceAFrame() {
    const draw = this.nv.drawScene.bind(this.nv);
    let waiting = false;
    this.nv.drawScene = () => {
      if (waiting || !this.reader) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        draw();
        this.mark();
      });
    };
  }

  get cursor() {
    return this.reader.turned([...this.nv.frac2vox(this.nv.scene.crosshairPos)]);
  }

  set cursor(voxel) {
    this.nv.scene.crosshairPos = this.nv.vox2frac(this.reader.turned(voxel));
    this.nv.drawScene();
  }

  // the voxel under the mouse; null off the slices
  under(event) {
    const box = this.canvas.getBoundingClientRect();
    const place = [event.clientX - box.left, event.clientY - box.top].map((v) => v * this.nv.uiData.dpr);
    const found = this.nv.canvasPos2frac(place);
    return found[0] < 0 ? null : this.reader.turned([...this.nv.frac2vox(found)]);
  }

  // what the pane under the mouse shows
  kind(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width;
    const y = (event.clientY - box.top) / box.height;
    const holds = ([, [left, top, wide, high]]) => x >= left && y >= top && x < left + wide && y < top + high;
    return this.layout.find(holds)[0];
  }

  get layout() {
    return this.view.alone ? [[this.view.alone, [0, 0, 1, 1]]] : QUARTERS;
  }

  // the image and its window, and all of `paint`
  show() {
    const image = this.reader.images.get(this.view.image) ?? this.reader.labels; // labels beyond the window are black
    [, image.cal_min, image.cal_max] = this.view.windows.get(this.view.image) ?? ["", 256, 257];
    this.nv.volumes = [image];
    this.nv.back = image;
    this.nv.updateGLVolume();
    this.paint();
  }

  // everything else of the view
  paint() {
    const { view, nv } = this;
    nv.setCustomLayout(this.layout.map(([kind, position]) => ({ sliceType: KINDS[kind], position })));
    this.subject.structures.forEach(({ bare }, i) => {
      const seen = view.labelled && !view.hidden.has(i + 1);
      const fill = bare ? 0 : Math.round(255 * view.opacity);
      nv.drawLut.lut[4 * i + 7] = seen ? Math.max(fill, FAINTEST) : 0;
      if (this.organs[i]) this.organs[i].visible = seen;
    });
    nv.refreshColormaps();
    nv.drawRimOpacity = view.outline ? 1 : -1;
    nv.opts.show3Dcrosshair = view.lines;
    nv.opts.crosshairGap = (GAP * this.extent) / view.zoom;
    nv.setCrosshairWidth(view.lines ? (CROSS * this.extent) / view.zoom : 0);
  }

  // closer to the cursor, or further away; at least all of a slice is seen
  magnify(factor) {
    this.view.zoom = within(ZOOMS, this.view.zoom * factor);
    this.centre();
    this.paint();
  }

  // the organs
  approach(factor) {
    this.nv.setScale(within(SCALES, this.nv.volScaleMultiplier * factor));
  }

  centre() {
    const { zoom } = this.view;
    const at = [...this.nv.scene.crosshairPos].map((v) => within([0.5 / zoom, 1 - 0.5 / zoom], v));
    const middle = this.nv.frac2mm([0.5, 0.5, 0.5]);
    const seen = this.nv.frac2mm(at);
    this.nv.scene.pan2Dxyzmm = [...[0, 1, 2].map((i) => middle[i] - zoom * seen[i]), zoom];
  }

  // a window of the user's own: width and level changed by shares of the default window's width
  adjustWindow(wider, higher) {
    if (!this.view.image) return;
    const [, first, last] = this.subject.images.find(({ name }) => name === this.view.image).windows[0];
    const [, low, high] = this.view.windows.get(this.view.image);
    const unit = last - first;
    const width = Math.max(high - low + wider * unit, LEAST_WIDTH * unit);
    const level = (low + high) / 2 + higher * unit;
    this.view.windows.set(this.view.image, ["own", level - width / 2, level + width / 2]);
    this.show();
  }

  page(steps, around = false) {
    const voxel = this.cursor;
    const axis = NORMALS[this.plane];
    const count = this.subject.grid.size[axis];
    const moved = voxel[axis] + steps;
    voxel[axis] = around ? (moved + count) % count : within([0, count - 1], moved);
    this.cursor = voxel;
  }

  mark() {
    const boxes = this.layout.map(([kind, [left, top, wide, high]]) => {
      const box = element("div", kind === "3d" ? [] : marks(kind, this.caption(kind), this.width(kind)));
      box.style.inset = [top, 1 - left - wide, 1 - top - high, left].map((share) => `${100 * share}%`).join(" ");
      if (kind !== "3d") box.append(this.drawn(kind, left * this.canvas.clientWidth, top * this.canvas.clientHeight));
      return box;
    });
    this.over.replaceChildren(...boxes);
    this.changed();
  }

  // places and the ruler on a slice whose pane begins at (left, top)
  drawn(plane, left, top) {
    const at = (voxel) => this.pixel(plane, voxel).map((v, i) => v - [left, top][i]);
    const away = (voxel) => voxel[NORMALS[plane]] - this.cursor[NORMALS[plane]];
    const seen = this.view.labelled ? this.subject.places : [];
    const shapes = seen.flatMap(({ kind, points }) => place(kind, points, away, at));
    const ends = this.view.ruler.filter((voxel) => Math.abs(away(voxel)) <= 0.5);
    if (ends.length === this.view.ruler.length && ends.length) shapes.push(...ruler(ends.map(at), this.length()));
    return svg("svg", {}, shapes);
  }

  // where a voxel, brought onto a plane's slice, lies on the canvas, in pixels
  pixel(plane, voxel) {
    const on = voxel.map((v, i) => (i === NORMALS[plane] ? this.cursor[i] : v));
    const found = this.nv.frac2canvasPosWithTile(this.nv.vox2frac(this.reader.turned(on)), KINDS[plane]);
    return found ? [...found.pos].map((v) => v / this.nv.uiData.dpr) : [-99, -99];
  }

  // another end of the ruler, the first again after the second; without a voxel it is put away
  measure(voxel) {
    if (!voxel) this.view.measuring = false;
    const ends = this.view.ruler.length === 2 ? [] : this.view.ruler;
    this.view.ruler = voxel ? [...ends, voxel] : [];
    this.paint();
  }

  // of the ruler, mm
  length() {
    const [first, last] = this.view.ruler.map((voxel) => this.reader.position(voxel));
    return last ? Math.hypot(...first.map((v, i) => v - last[i])) : null;
  }

  // of a plane's slice, in pixels and in mm
  width(plane) {
    const { leftTopWidthHeight, fovMM } = this.nv.screenSlices.find(({ axCorSag }) => axCorSag === KINDS[plane]);
    return [leftTopWidthHeight[2] / this.nv.uiData.dpr, Math.abs(fovMM[0])];
  }

  // the image and plane, where it lies, and, with the axial plane, the window
  caption(plane) {
    const axis = NORMALS[plane];
    const voxel = this.cursor;
    const mm = this.reader.position(voxel)[axis];
    const place = `${"xyz"[axis]} ${mm < 0 ? "" : "+"}${mm.toFixed(1)} mm`;
    const title = `${(this.view.image ?? "labels").toUpperCase()} ${plane}`;
    const lines = [title, `${place}  (${voxel[axis] + 1}/${this.subject.grid.size[axis]})`];
    return plane === "axial" && this.view.image ? [...lines, this.windowed()] : lines;
  }

  windowed() {
    const [name, low, high] = this.view.windows.get(this.view.image);
    return `${name}  W ${(high - low).toFixed(0)}  L ${((low + high) / 2).toFixed(0)}`;
  }
}

function within([least, most], value) {
  return Math.min(Math.max(value, least), most);
}

function surfaceOf({ surface, color, opacity }, gl) {
  const bytes = Uint8Array.from(atob(surface), (letter) => letter.charCodeAt(0));
  return NVMesh.readMesh(bytes.buffer, "surface.mz3", gl, opacity, new Uint8Array([...rgb(color), 255]));
}

function rgb(color) {
  return [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
}

async function decoded(base64) {
  const image = await NVImage.loadFromBase64({ base64, name: "image.nii.gz" });
  image.calMinMax(); // else NiiVue does so when it first draws, over the window that was set
  return image;
}

// colours as NiiVue takes them; what is at 0 has no label
function table(structures) {
  const colors = [[0, 0, 0], ...structures.map(({ color }) => rgb(color))];
  const [R, G, B] = [0, 1, 2].map((i) => colors.map((rgb) => rgb[i]));
  return { R, G, B, A: colors.map((_, i) => (i ? 255 : 0)), labels: ["", ...structures.map(({ name }) => name)] };
}
