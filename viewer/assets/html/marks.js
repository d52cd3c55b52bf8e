// What is written on a slice, as viewer/marks.py and viewer/panes.py do it: captions, letters, a scale bar.
"use strict";

const LETTERS = { axial: "RLAP", coronal: "RLSI", sagittal: "APSI" }; // left, right, top, bottom
const NORMALS = { axial: 2, coronal: 1, sagittal: 0 };

// plane: that is shown; lines: the first in bold; wide: the slice's width in pixels and in mm
function marks(plane, [title, ...lines], wide) {
  const letters = [...LETTERS[plane]].map((letter) => element("u", [letter]));
  return [element("b", [`${title}\n`]), lines.join("\n"), ...letters, bar(...wide)];
}

// of a round length (1, 2 or 5 times a power of ten, mm), at most 30 % of the slice
function bar(widthPx, widthMm) {
  const longest = 0.3 * widthMm;
  const decade = 10 ** Math.floor(Math.log10(longest));
  const mm = [5, 2, 1].find((step) => step * decade <= longest) * decade;
  const made = element("i", [mm < 10 ? `${mm} mm` : `${mm / 10} cm`]);
  made.style.width = `${(widthPx * mm) / widthMm}px`;
  return made;
}

function element(tag, children = []) {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}
