// Prompts and the ruler on a slice, as viewer/places.py and viewer/panes.py draw them.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const INKS = { on: "#00e080", off: "#ff4040", box: "#f0e442", dots: "#f0e442", ruler: "#ffd60a" };
const ARM = 6; // pixels from a click's middle to its end

function svg(tag, attributes, children = []) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// away: how far a voxel lies from the slice, in slices; at: its pixel
function place(kind, points, away, at) {
  const distances = points.map(away);
  const on = points.filter((_, i) => Math.abs(distances[i]) <= 0.5).map(at);
  if (kind === "box") {
    const crossed = Math.min(...distances) <= 0.5 && Math.max(...distances) >= -0.5;
    return crossed ? [frame(points.map(at))] : [];
  }
  if (kind === "dots") return on.map(([cx, cy]) => svg("circle", { cx, cy, r: 1, fill: INKS.dots }));
  return on.map(([x, y]) => {
    const across = `M${x - ARM} ${y}H${x + ARM}`;
    return line(kind === "on" ? `${across}M${x} ${y - ARM}V${y + ARM}` : across, INKS[kind], 3);
  });
}

function frame([[x0, y0], [x1, y1]]) {
  return line(`M${x0} ${y0}H${x1}V${y1}H${x0}Z`, INKS.box, 1);
}

// length: in mm; null while the second end is sought
function ruler(ends, length) {
  const shapes = ends.map(([cx, cy]) => svg("circle", { cx, cy, r: 3, fill: "none", stroke: INKS.ruler, "stroke-width": 2 }));
  if (length === null) return shapes;
  const [[x0, y0], [x, y]] = ends;
  const text = svg("text", { x: x + 8, y: y + 4, fill: INKS.ruler }, [`${length.toFixed(1)} mm`]);
  return [...shapes, line(`M${x0} ${y0}L${x} ${y}`, INKS.ruler, 2), text];
}

function line(d, stroke, width) {
  return svg("path", { d, stroke, "stroke-width": width, fill: "none" });
}
